/**
 * No circles: whoever reads a file or a room can read on downwards, and come to an end. Imports of types count as all others do.
 *
 * A room is a folder; the files right in a plane's folder put its rooms together, and are a room of their own. Tests and fixtures may see
 * any room, so they count for files, not for rooms.
 */
import { dirname } from 'node:path'
import { describe, expect, test } from 'vitest'
import { code, importsOf, isTest, pathOf } from './sources.ts'

/** What is free of circles, and stays so. */
const planes = [
  'schemas',
  'runtime',
  'pipeline/live',
  'pipeline/warehouse',
  'pipeline/sinks',
  'pipeline/operate',
  'control',
  'ingest',
  'loadtest',
  'infra',
  'console',
]

/** Rooms of a plane in their order: each imports from rows above its own, and nothing from its neighbours. */
const order: Readonly<Record<string, readonly (readonly string[])[]>> = {
  control: [
    ['rest', 'store'],
    ['identities'],
    ['twins'],
    [
      'audit',
      'dead-letters',
      'delivery',
      'device-table',
      'downlink',
      'load-tests',
      'models',
      'presence',
      'quotas',
      'routes',
      'sessions',
      'settings',
      'sql',
      'trust',
    ],
    ['commands', 'configurations', 'downlink', 'presence', 'quotas', 'routes', 'sessions', 'trust', 'uploads'],
    ['auth', 'methods'],
    ['digital-twins', 'jobs', 'provisioning'],
    ['query'],
    ['client', 'link', 'transfers'],
  ],
  ingest: [
    ['batches', 'quotas'],
    ['events', 'session'],
    ['device-api', 'listeners'],
    ['sparkplug'],
    ['amqp', 'http', 'mqtt'],
    ['influx', 'otlp', 'services'],
  ],
  loadtest: [
    ['options'],
    ['ledger'],
    ['generate'],
    ['exchange'],
    ['processes'],
    ['observe'],
    ['agents'],
    ['result'],
    ['report'],
    ['workload'],
    ['run'],
    ['scenarios'],
    ['scaling'],
    ['peers'],
    ['bench'],
    ['cli'],
  ],
}

type Graph = ReadonlyMap<string, ReadonlySet<string>>

/** @param nodeOf `undefined`: the file does not count */
function graphOf(files: readonly string[], nodeOf: (file: string) => string | undefined): Graph {
  const known = new Set(files)
  const graph = new Map<string, Set<string>>()
  for (const file of files) {
    const from = nodeOf(file)
    if (from === undefined) continue
    const targets = graph.get(from) ?? new Set<string>()
    graph.set(from, targets)
    for (const imported of importsOf(file)) {
      const path = pathOf(imported, file)
      const to = path !== undefined && known.has(path) ? nodeOf(path) : undefined
      if (to !== undefined && to !== from) targets.add(to)
    }
  }
  return graph
}

/** One circle, as the way round it; empty if there is none. */
function circleIn(graph: Graph): readonly string[] {
  const done = new Set<string>()
  const way: string[] = []
  const visit = (node: string): readonly string[] => {
    const at = way.indexOf(node)
    if (at >= 0) return [...way.slice(at), node]
    if (done.has(node)) return []
    way.push(node)
    for (const target of graph.get(node) ?? []) {
      const circle = visit(target)
      if (circle.length > 0) return circle
    }
    way.pop()
    done.add(node)
    return []
  }
  for (const node of graph.keys()) {
    const circle = visit(node)
    if (circle.length > 0) return circle
  }
  return []
}

const filesOf = (plane: string): string[] => code.filter((file) => file.startsWith(`${plane}/`))
const roomOf = (file: string): string | undefined => (isTest(file) ? undefined : dirname(file))

describe('no circles', () => {
  test('are found where there are some, at whatever length, and nowhere else', () => {
    const graph = (edges: Record<string, readonly string[]>): Graph =>
      new Map(Object.entries(edges).map(([from, to]) => [from, new Set(to)]))
    expect(circleIn(graph({ a: ['b', 'c'], b: ['d'], c: ['d'], d: [] }))).toEqual([])
    expect(circleIn(graph({ a: ['b'], b: ['c'], c: ['b'] }))).toEqual(['b', 'c', 'b'])
    expect(circleIn(graph({ a: [], b: ['c'], c: ['d'], d: ['b', 'a'] }))).toEqual(['b', 'c', 'd', 'b'])
  })

  test.each(planes)('of files in %s', (plane) => {
    const files = filesOf(plane)
    expect(files.length).toBeGreaterThan(0)
    expect(circleIn(graphOf(files, (file) => file))).toEqual([])
  })

  test.each(planes)('of rooms in %s', (plane) => {
    expect(circleIn(graphOf(filesOf(plane), roomOf))).toEqual([])
  })

  test.each(Object.keys(order))('the rooms of %s lie in their order', (plane) => {
    const rows = order[plane] ?? []
    const rowOf = (room: string): number => rows.findIndex((row) => row.some((name) => room === `${plane}/${name}`))
    for (const [room, targets] of graphOf(filesOf(plane), roomOf)) {
      // What puts the rooms together imports any of them, and none imports it.
      if (room === plane) continue
      expect(rowOf(room), `${room} has a place in the order`).toBeGreaterThanOrEqual(0)
      for (const target of targets)
        expect(rowOf(target) >= 0 && rowOf(target) < rowOf(room), `${room} imports ${target}`).toBe(true)
    }
  })
})
