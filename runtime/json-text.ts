/** JSON written piece by piece: for values that no value of JavaScript holds as they are, as whole numbers of 64 bits. */

/** An object. Of a name that is given twice the last value counts. */
export class ObjectText {
  readonly #fields = new Map<string, string>()

  /** @param json left out: there is no such field */
  put(name: string, json: string | undefined): this {
    if (json !== undefined) this.#fields.set(name, json)
    return this
  }

  putText(name: string, text: string | undefined): this {
    return this.put(name, text === undefined ? undefined : JSON.stringify(text))
  }

  putNumber(name: string, value: number | undefined): this {
    return this.put(name, value === undefined ? undefined : numberText(value))
  }

  get isEmpty(): boolean {
    return this.#fields.size === 0
  }

  toString(): string {
    return objectText(this.#fields)
  }
}

/** @param fields JSON by name */
export function objectText(fields: ReadonlyMap<string, string>): string {
  let text = '{'
  for (const [name, json] of fields) text += `${text.length > 1 ? ',' : ''}${JSON.stringify(name)}:${json}`
  return `${text}}`
}

/** Numbers that JSON does not have are texts, as in JSON of protobuf: `"NaN"`, `"Infinity"`. */
export function numberText(value: number): string {
  return Number.isFinite(value) ? String(value) : `"${value}"`
}
