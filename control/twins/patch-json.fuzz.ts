import { expect, test } from 'vitest'
import { type SeededRandom, seededRandom } from '#runtime/seeded-random.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { patchFrom } from './patch-json.ts'
import { faultOfJson } from './scan-json.ts'

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000_000)
const bounds = { bytesMax: 120, depthMax: 4, entriesMax: 12 }
const pieces = ['{', '}', '[', ']', ',', ':', '"', '\\', '\\"', '"a"', '1', 'null', ' ', '\u0000', 'é', '"__proto__"']

const randomBytes = ({ below }: SeededRandom): string =>
  Array.from({ length: below(24) }, () => pieces[below(pieces.length)]).join('')

function randomJson(random: SeededRandom, depth = 0): unknown {
  const kind = random.below(depth > 5 ? 2 : 4)
  if (kind < 2) return kind === 0 ? random.below(100) : `${pieces[random.below(pieces.length)]}`
  const items = Array.from({ length: random.below(4) }, () => randomJson(random, depth + 1))
  return kind === 2 ? items : Object.fromEntries(items.map((item, index) => [`{k${index}`, item]))
}

/** What the scanner must find, of a text that is JSON. */
function measured(value: unknown): { depth: number; entries: number } {
  if (typeof value !== 'object' || value === null) return { depth: 0, entries: 0 }
  const items = Object.values(value).map(measured)
  return {
    depth: 1 + Math.max(0, ...items.map(({ depth }) => depth)),
    entries: Math.max(1, items.length) + items.reduce((sum, { entries }) => sum + entries, 0),
  }
}

test('whatever bytes come, a patch is read or refused with a reason, and the scanner agrees with the parser', () => {
  const random = seededRandom(seed)
  for (let round = 0; round < 20_000; round++) {
    const text = random.chance(0.5) ? randomBytes(random) : JSON.stringify(randomJson(random))
    const bytes = Buffer.from(text)
    try {
      patchFrom(bytes)
    } catch (error) {
      if (!isPenstockError(error, 'TWIN_INVALID'))
        throw new Error(`SEED=${seed} ${JSON.stringify(text)}`, { cause: error })
    }
    let value: unknown
    try {
      value = JSON.parse(text)
    } catch {
      faultOfJson(bytes, bounds)
      continue
    }
    const { depth, entries } = measured(value)
    const isRefused = faultOfJson(bytes, bounds) !== undefined
    // An empty list or object counts as one entry, and so does the first of those that are not.
    const isTooLarge = depth > bounds.depthMax || entries > bounds.entriesMax || bytes.length > bounds.bytesMax
    expect(isRefused, `SEED=${seed} ${text}`).toBe(isTooLarge)
  }
})
