/** Random queries of random twins, against a reader of conditions in JavaScript that knows no SQL. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { silentLogger } from '#runtime/logger.ts'
import { seededRandom } from '#runtime/seeded-random.ts'
import { openRegistry, type Registry } from './open-registry.ts'
import { parseQuery } from './query/parse-query.ts'
import type { CompareOperator, Condition, Operand } from './query/query-tree.ts'
import { deviceContent } from './registry.conformance.ts'
import { patchFrom } from './twins/patch-json.ts'
import { twinPatchFrom } from './twins/twin-document.ts'

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000_000)
const random = seededRandom(seed)
const pick = <T>(items: readonly T[]): T => items[random.below(items.length)] as T

const sections = ['tags', 'properties.desired', 'properties.reported'] as const
const keys = ['a', 'b', 'c'] as const
const primitives = ['x', 'y', 'X', 'xé', '1', 'true', '', 0, 1, 1.5, -2, 100, true, false] as const

type Json = string | number | boolean | null | Json[] | { [key: string]: Json }

function randomDocument(depth = 0): { [key: string]: Json } {
  const document: { [key: string]: Json } = {}
  for (const key of keys) {
    if (random.chance(0.3)) continue
    if (depth < 2 && random.chance(0.3)) document[key] = randomDocument(depth + 1)
    else document[key] = random.chance(0.1) ? [pick(primitives), { a: 1 }] : pick(primitives)
  }
  return document
}

const literalText = (): string => {
  const value = pick(primitives)
  return typeof value === 'string' ? `'${value}'` : String(value)
}

const pathText = (): string => {
  if (random.chance(0.05))
    return pick(['version', 'deviceId', 'status', 'capabilities.iotEdge', 'properties.desired.$version'])
  return [pick(sections), ...Array.from({ length: random.integer(1, 3) }, () => pick(keys))].join('.')
}

function conditionText(depth = 0): string {
  const kind = random.below(depth > 3 ? 4 : 8)
  if (kind === 0) return `IS_DEFINED(${pathText()})`
  if (kind === 1) return `${pathText()} ${pick(['IN', 'NIN', 'NOT IN'])} [${literalText()}, ${literalText()}]`
  if (kind === 2)
    return `${pick(['STARTSWITH', 'ENDSWITH', 'CONTAINS'])}(${pathText()}, '${pick(['x', 'é', '', 'tr'])}')`
  if (kind === 3) {
    const right = random.chance(0.8) ? literalText() : pathText()
    const sides = random.chance(0.8) ? [pathText(), right] : [right, pathText()]
    return sides.join(` ${pick(['=', '!=', '<>', '<', '<=', '>', '>='])} `)
  }
  if (kind === 4) return `NOT (${conditionText(depth + 1)})`
  return `(${conditionText(depth + 1)}) ${kind === 5 ? 'OR' : 'AND'} (${conditionText(depth + 1)})`
}

interface Known {
  readonly deviceId: string
  readonly fields: Readonly<Record<string, Json>>
  readonly documents: Readonly<Record<(typeof sections)[number], Json>>
}

function operandValue(operand: Operand, twin: Known): Json | undefined {
  if (operand.kind === 'literal') return operand.value
  return valueAt(operand.path, twin)
}

function valueAt(path: string, twin: Known): Json | undefined {
  if (Object.hasOwn(twin.fields, path)) return twin.fields[path]
  const section = sections.find((name) => path.startsWith(`${name}.`))
  let value: Json | undefined = section && twin.documents[section]
  for (const key of path.slice((section?.length ?? 0) + 1).split('.')) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
    value = Object.hasOwn(value, key) ? value[key] : undefined
  }
  return value
}

function compared(operator: CompareOperator, left: Json | undefined, right: Json | undefined): boolean | undefined {
  if (typeof left !== typeof right || left === undefined || typeof left === 'object') return undefined
  const order =
    typeof left === 'string'
      ? Buffer.compare(Buffer.from(left), Buffer.from(String(right)))
      : Number(left) - Number(right)
  switch (operator) {
    case '=':
      return order === 0
    case '!=':
      return order !== 0
    case '<':
      return order < 0
    case '<=':
      return order <= 0
    case '>':
      return order > 0
    case '>=':
      return order >= 0
  }
}

/** `undefined` as SQL has NULL. */
function holds(condition: Condition, twin: Known): boolean | undefined {
  switch (condition.kind) {
    case 'and':
    case 'or': {
      const decisive = condition.kind === 'or'
      const [left, right] = [holds(condition.left, twin), holds(condition.right, twin)]
      if (left === decisive || right === decisive) return decisive
      return left === undefined || right === undefined ? undefined : !decisive
    }
    case 'not': {
      const inner = holds(condition.condition, twin)
      return inner === undefined ? undefined : !inner
    }
    case 'defined':
      return valueAt(condition.path, twin) !== undefined
    case 'in': {
      const tests = condition.values.map((value) => compared('=', operandValue(condition.operand, twin), value))
      return tests.includes(true) ? true : tests.includes(undefined) ? undefined : false
    }
    case 'compare':
      return compared(condition.operator, operandValue(condition.left, twin), operandValue(condition.right, twin))
    case 'text': {
      const value = valueAt(condition.path, twin)
      if (typeof value !== 'string') return undefined
      if (condition.function === 'STARTSWITH') return value.startsWith(condition.text)
      return condition.function === 'ENDSWITH' ? value.endsWith(condition.text) : value.includes(condition.text)
    }
  }
}

let registry: Registry
const twins: Known[] = []

beforeAll(async () => {
  registry = await openRegistry({ postgresUrl: undefined, dataDir: undefined, connectionsMax: 1, logger: silentLogger })
  const ids = Array.from({ length: 40 }, (_, index) => `d${100 + index}`)
  await registry.identities.importDevices(ids.map((deviceId) => deviceContent(deviceId)))
  for (const deviceId of ids) {
    const id = { deviceId, moduleId: undefined }
    const [tags, desired, reported] = [randomDocument(), randomDocument(), randomDocument()]
    const isWritten = random.chance(0.9)
    if (isWritten) {
      await registry.twins.update(id, twinPatchFrom({ tags, properties: { desired } }), undefined)
      const bytes = Buffer.from(JSON.stringify(reported))
      await registry.deviceTwins.report({ id, patch: patchFrom(bytes), bytes: bytes.length, ifVersion: undefined })
    }
    twins.push({
      deviceId,
      fields: {
        version: isWritten ? 4 : 2,
        deviceId,
        status: 'enabled',
        'capabilities.iotEdge': false,
        'properties.desired.$version': isWritten ? 2 : 1,
      },
      documents: isWritten
        ? { tags, 'properties.desired': desired, 'properties.reported': reported }
        : { tags: {}, 'properties.desired': {}, 'properties.reported': {} },
    })
  }
})

afterAll(() => registry.close())

test('a query selects the twins for which its condition holds, whatever it says and they hold', async () => {
  for (let round = 0; round < 400; round++) {
    const where = conditionText()
    const text = `SELECT deviceId FROM devices WHERE ${where}`
    const condition = parseQuery(text).where
    const result = await registry.queries.query(text, { countMax: 100, continuation: undefined })
    const found = result.kind === 'raw' ? result.items.map(({ deviceId }) => deviceId) : []
    const expected = twins
      .filter((twin) => condition && holds(condition, twin) === true)
      .map(({ deviceId }) => deviceId)
    expect(found, `SEED=${seed} ${where}`).toEqual(expected)
  }
})
