/** Imports run one way: no circle of files, and none of rooms (folders) inside a plane. Imports of types count, too. */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '../..')
const planes = ['infra', 'loadtest', 'schemas']

/** Rooms of a plane in their order: each imports those before it only. */
const order: Readonly<Record<string, readonly string[]>> = {
  loadtest: [
    'options',
    'ledger',
    'generate',
    'observe',
    'agents',
    'result',
    'report',
    'workload',
    'run',
    'scenarios',
    'scaling',
    'peers',
    'bench',
    'cli',
  ],
}

/** Who imports whom. */
type Imports = ReadonlyMap<string, ReadonlySet<string>>

function importsOf(plane: string): Imports {
  const files = readdirSync(join(root, plane), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => `${plane}/${file}`)
  return new Map(files.map((file) => [file, new Set(targetsOf(file).filter((target) => files.includes(target)))]))
}

function targetsOf(file: string): string[] {
  const text = readFileSync(join(root, file), 'utf8')
  const found = text.matchAll(/^(?:import|export)\s[^;'"]*?\sfrom '([.#][^']+)'/gm)
  return [...found].map(([, target = '']) =>
    target.startsWith('#') ? target.slice(1) : normalize(join(dirname(file), target)),
  )
}

/** Tests of several rooms together lie in one of them. */
const isTest = (file: string): boolean => /\.(test|conformance|integration|fault|fuzz|bench|fake)\.ts$/.test(file)

function roomsOf(files: Imports): Imports {
  const rooms = new Map<string, Set<string>>()
  for (const [file, targets] of files) {
    if (isTest(file)) continue
    const room = dirname(file)
    const others = rooms.get(room) ?? new Set()
    for (const target of targets) if (dirname(target) !== room && !isTest(target)) others.add(dirname(target))
    rooms.set(room, others)
  }
  return rooms
}

/** One circle, its first again at the end; undefined if there is none. */
function circleOf(imports: Imports): string[] | undefined {
  const done = new Set<string>()
  const visit = (name: string, path: readonly string[]): string[] | undefined => {
    if (path.includes(name)) return [...path.slice(path.indexOf(name)), name]
    if (done.has(name)) return undefined
    for (const other of imports.get(name) ?? []) {
      const circle = visit(other, [...path, name])
      if (circle) return circle
    }
    done.add(name)
    return undefined
  }
  for (const name of imports.keys()) {
    const circle = visit(name, [])
    if (circle) return circle
  }
  return undefined
}

test('a circle is found wherever it is entered', () => {
  const imports = (pairs: Readonly<Record<string, string>>): Imports =>
    new Map(Object.entries(pairs).map(([name, others]) => [name, new Set(others)]))
  expect(circleOf(imports({ a: 'bc', b: 'c', c: '' }))).toBeUndefined()
  expect(circleOf(imports({ a: 'b', b: 'c', c: 'db', d: '' }))).toEqual(['b', 'c', 'b'])
  expect(circleOf(imports({ a: 'a' }))).toEqual(['a', 'a'])
})

test.each(planes)('%s: no files and no rooms import one another in a circle', (plane) => {
  const files = importsOf(plane)
  expect(files.size).toBeGreaterThan(5)
  expect(circleOf(files)).toBeUndefined()
  expect(circleOf(roomsOf(files))).toBeUndefined()
})

test.each(Object.keys(order))('the rooms of %s lie in their order', (plane) => {
  const placeOf = (room: string): number => order[plane]?.indexOf(room.slice(plane.length + 1)) ?? -1
  for (const [room, targets] of roomsOf(importsOf(plane))) {
    // What lies in the plane's own folder is for all of its rooms.
    if (room === plane) continue
    expect(placeOf(room), `${room} has a place in the order`).toBeGreaterThanOrEqual(0)
    for (const target of targets)
      if (target !== plane) expect(placeOf(target), `${room} imports ${target}`).toBeLessThan(placeOf(room))
  }
})
