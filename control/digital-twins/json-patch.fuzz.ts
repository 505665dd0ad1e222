import { expect, test } from 'vitest'
import { type Json, type JsonObject, patched } from '#control/twins/section.ts'
import { type SeededRandom, seededRandom } from '#runtime/seeded-random.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { desiredPatchFrom } from './json-patch.ts'

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000_000)
const names = ['a', 'b', 'c', 'd'] as const

type Changing = { [key: string]: Json }
type Operation = { readonly op: string; readonly path: string; readonly value?: Json }

const oneOf = <T>({ below }: SeededRandom, items: readonly T[]): T => items[below(items.length)] as T

function randomValue(random: SeededRandom, depth = 0): Json {
  if (depth > 2 || random.chance(0.6)) return random.below(9)
  return Object.fromEntries(names.slice(0, random.below(4)).map((name) => [name, randomValue(random, depth + 1)]))
}

function randomSection(random: SeededRandom): Changing {
  const isComponent = (): Changing =>
    random.chance(0.5) ? { __t: 'c', [oneOf(random, names)]: randomValue(random) } : {}
  const held = names.filter(() => random.chance(0.6))
  return Object.fromEntries(held.map((name) => [name, random.chance(0.6) ? isComponent() : randomValue(random)]))
}

function randomOperation(random: SeededRandom): Operation {
  const path = `/${oneOf(random, names)}${random.chance(0.6) ? `/${oneOf(random, names)}` : ''}`
  const op = oneOf(random, ['add', 'replace', 'remove', 'remove', 'move'])
  const value = randomValue(random)
  return { op, path, value: typeof value === 'object' && random.chance(0.7) ? { ...value, $metadata: {} } : value }
}

const isThere = (desired: Changing, name: string, property: string | undefined): boolean =>
  Object.hasOwn(desired, name) && (property === undefined || Object.hasOwn(desired[name] as object, property))

/** What the operation says, done to desired properties in the plainest way. @param emptied components that end, unless something is added */
function carriedOut(desired: Changing, emptied: Set<string>, { op, path, value }: Operation): void {
  const [, name = '', property] = path.split('/')
  if (op === 'remove' && !isThere(desired, name, property)) throw new Error(`${path} was not there`)
  emptied.delete(name)
  if (property === undefined) {
    const { $metadata, ...component } = typeof value === 'object' ? (value as Changing) : {}
    if (op === 'remove') delete desired[name]
    else desired[name] = $metadata === undefined ? (value as Json) : { ...component, __t: 'c' }
    return
  }
  const component: Changing = { ...(desired[name] as Changing | undefined), __t: 'c' }
  if (op === 'remove') delete component[property]
  else component[property] = value as Json
  if (op === 'remove' && Object.keys(component).length === 1) emptied.add(name)
  desired[name] = component
}

test('a JSON Patch that is taken does what its operations say, one after the other; any other is refused with a reason', () => {
  const random = seededRandom(seed)
  let taken = 0
  for (let round = 0; round < 20_000; round++) {
    const [desired, reported] = [randomSection(random), randomSection(random)]
    const operations = Array.from({ length: random.integer(1, 4) }, () => randomOperation(random))
    const label = `SEED=${seed} ${JSON.stringify({ desired, reported, operations })}`
    let patch: JsonObject
    try {
      patch = desiredPatchFrom(operations, { desired, reported }) as JsonObject
    } catch (error) {
      if (!isPenstockError(error, 'TWIN_INVALID')) throw new Error(label, { cause: error })
      continue
    }
    taken++
    const expected: Changing = { ...desired }
    const emptied = new Set<string>()
    for (const operation of operations) carriedOut(expected, emptied, operation)
    for (const name of emptied) delete expected[name]
    expect(patched({ value: desired, marks: {}, version: 1, floor: 0 }, patch, 0).value, label).toEqual(expected)
  }
  expect(taken).toBeGreaterThan(1_000)
})
