import { expect } from 'vitest'

/** The bytes, of which none before `start` or from `end` on may be read. */
export function watchedBytes(bytes: Buffer, start: number, end: number): Buffer {
  return new Proxy(bytes, {
    get(target, key) {
      const index = typeof key === 'string' ? Number(key) : Number.NaN
      if (Number.isInteger(index) && (index < start || index >= end))
        expect.fail(`byte ${index} was read, outside ${start} to ${end}`)
      const value = Reflect.get(target, key)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}
