/** Numbers in what a device sends, as lines over time. Pure. */
import type { Message } from '#console/data/tail.ts'
import type { Moment } from '#console/parts/chart-scale.ts'

const fieldsMax = 24
const depthMax = 4

/** Values by path, `engine.rpm`, in order of time. Messages that are no JSON have none. */
export function numericFields(
  messages: readonly Pick<Message, 'at' | 'body' | 'encoding'>[],
): ReadonlyMap<string, readonly Moment[]> {
  const fields = new Map<string, Moment[]>()
  for (const { at, body, encoding } of messages) {
    if (encoding !== 'utf8') continue
    for (const [path, value] of numbersIn(parsed(body), '', 0)) {
      const moments = fields.get(path)
      if (moments !== undefined) moments.push([at, value])
      else if (fields.size < fieldsMax) fields.set(path, [[at, value]])
    }
  }
  return new Map([...fields].map(([path, moments]) => [path, broken(moments.sort((one, other) => one[0] - other[0]))]))
}

const gapMsMin = 10_000
/** A device that is silent for so many times as long as usual was away. */
const gapFactor = 20

/** With nothing between values where the device was away. */
function broken(moments: readonly Moment[]): readonly Moment[] {
  const steps = moments.map(([at], index) => at - (moments[index - 1]?.[0] ?? at)).sort((one, other) => one - other)
  const gapMs = Math.max(gapMsMin, gapFactor * (steps[steps.length >> 1] ?? 0))
  return moments.flatMap((moment, index) => {
    const before = moments[index - 1]?.[0] ?? moment[0]
    return moment[0] - before > gapMs ? [[before + 1, undefined] as const, moment] : [moment]
  })
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    return undefined
  }
}

function* numbersIn(value: unknown, path: string, depth: number): Generator<readonly [path: string, value: number]> {
  if (typeof value === 'number') yield [path === '' ? 'value' : path, value]
  if (typeof value !== 'object' || value === null || depth >= depthMax) return
  for (const [name, inner] of Object.entries(value))
    yield* numbersIn(inner, path === '' ? name : `${path}.${name}`, depth + 1)
}
