/** Where a path such as `contents[2].schema` lies in a text of JSON, which need not be written in one way only. */

export interface TextPlace {
  readonly start: number
  readonly end: number
}

/** What the path names, or the last part of it that is there; `undefined` of a text that is no JSON. */
export function placeInJson(text: string, path: string): TextPlace | undefined {
  const scan = new Scan(text)
  let place = scan.value(0)
  for (const step of stepsOf(path)) {
    const within = place && scan.member(place.start, step)
    if (within === undefined) break
    place = within
  }
  return place
}

/** The line that a place begins in, from 1, and its text without what stands before it. */
export function lineAt(text: string, { start }: TextPlace): { readonly number: number; readonly text: string } {
  const from = text.lastIndexOf('\n', start - 1) + 1
  const to = text.indexOf('\n', start)
  return { number: text.slice(0, start).split('\n').length, text: text.slice(from, to < 0 ? undefined : to).trim() }
}

function stepsOf(path: string): (string | number)[] {
  const steps: (string | number)[] = []
  for (const [, name, index, quoted] of path.matchAll(/([^.[\]"]+)|\[(\d+)\]|\[("(?:[^"\\]|\\.)*")\]/g)) {
    if (quoted !== undefined) steps.push(String(JSON.parse(quoted)))
    else if (index !== undefined) steps.push(Number(index))
    else if (name !== undefined) steps.push(name)
  }
  return steps
}

class Scan {
  readonly #text: string

  constructor(text: string) {
    this.#text = text
  }

  /** The value that begins behind `from`. */
  value(from: number): TextPlace | undefined {
    const start = this.#past(from, /\s*/y)
    const first = this.#text[start]
    if (first === '{' || first === '[') {
      let end = start + 1
      for (const { value } of this.#members(start)) end = value.end
      return { start, end: this.#past(end, /\s*[}\]]?/y) }
    }
    const end = this.#past(start, /"(?:[^"\\]|\\.)*"|[^\s,\]}]+/y)
    return end > start ? { start, end } : undefined
  }

  member(start: number, step: string | number): TextPlace | undefined {
    let found: TextPlace | undefined
    // Of a name that is given twice the last one counts.
    for (const { key, value } of this.#members(start)) if (key === step) found = value
    return found
  }

  *#members(start: number): Generator<{ readonly key: string | number; readonly value: TextPlace }> {
    const isObject = this.#text[start] === '{'
    if (!isObject && this.#text[start] !== '[') return
    for (let at = start + 1, index = 0; ; index++) {
      let key: string | number = index
      if (isObject) {
        const named = this.value(at)
        if (named === undefined || this.#text[named.start] !== '"') return
        key = keyOf(this.#text.slice(named.start, named.end))
        at = this.#past(named.end, /\s*:?/y)
      }
      const value = this.value(at)
      if (value === undefined) return
      yield { key, value }
      const next = this.#past(value.end, /\s*,/y)
      if (next === value.end) return
      at = next
    }
  }

  #past(at: number, pattern: RegExp): number {
    pattern.lastIndex = at
    return pattern.test(this.#text) ? pattern.lastIndex : at
  }
}

function keyOf(quoted: string): string {
  try {
    return String(JSON.parse(quoted))
  } catch {
    return quoted
  }
}
