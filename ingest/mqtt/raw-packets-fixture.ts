/** For tests: packets field by field, so that each may be wrong in one place. */

export const bytes = (...values: readonly number[]): Buffer => Buffer.from(values)

export const twoBytes = (value: number): Buffer => bytes(value >>> 8, value & 0xff)

export function variableInteger(value: number): Buffer {
  const groups: number[] = []
  for (let left = value; ; left >>>= 7) {
    groups.push(left > 0x7f ? (left & 0x7f) | 0x80 : left)
    if (left <= 0x7f) return Buffer.from(groups)
  }
}

/** Text, or binary data. */
export function text(content: string | Buffer): Buffer {
  const encoded = Buffer.from(content as string)
  return Buffer.concat([twoBytes(encoded.length), encoded])
}

export function properties(...parts: readonly Buffer[]): Buffer {
  const all = Buffer.concat(parts)
  return Buffer.concat([variableInteger(all.length), all])
}

export const property = (id: number, value: Buffer): Buffer => Buffer.concat([bytes(id), value])

export function packet(first: number, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts)
  return Buffer.concat([bytes(first), variableInteger(body.length), body])
}

export interface RawConnect {
  readonly first?: number
  readonly name?: string | Buffer
  readonly level?: number
  readonly flags?: number
  readonly properties?: Buffer
  readonly clientId?: string | Buffer
  /** Will, user name and password as they stand, and whatever is to follow. */
  readonly rest?: readonly Buffer[]
}

export function rawConnect(version: 4 | 5, request: RawConnect = {}): Buffer {
  const { first = 0x10, name = 'MQTT', level = version, flags = 0x02, clientId = 'd1', rest = [] } = request
  const own = version === 5 ? (request.properties ?? bytes(0)) : bytes()
  return packet(first, text(name), bytes(level, flags), twoBytes(60), own, text(clientId), ...rest)
}

/** Texts that are none. */
export const brokenTexts: readonly (readonly [string, Buffer])[] = [
  ['text that is not UTF-8 [MQTT-1.5.4-1]', bytes(0x61, 0xff)],
  ['an encoded surrogate [MQTT-1.5.4-1]', bytes(0xed, 0xa0, 0x80)],
  ['a null character [MQTT-1.5.4-2]', bytes(0x61, 0, 0x62)],
]
