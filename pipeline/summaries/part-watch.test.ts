import { expect, test } from 'vitest'
import type { Warehouse } from '#pipeline/warehouse/warehouse.ts'
import { PartWatch } from './part-watch.ts'

type Part = readonly [partition: string, first: number, last: number, fromSeconds: number, rows: number]

/** Parts of the table as ClickHouse lists them. */
function watchOver(engine: string) {
  let parts: readonly Part[] = []
  const warehouse = {
    query: async () => [
      ...parts.map(([partition_id, first, last, from_s, rows]) => ({
        ...{ partition_id, engine, first: String(first), last: String(last), from_s, to_s: from_s + 5 },
        ...{ rows: String(rows), now_ms: '1000' },
      })),
      { partition_id: '', engine: '', first: '0', last: '0', from_s: 0, to_s: 0, rows: '0', now_ms: '1000' },
    ],
  } as unknown as Warehouse
  const watch = new PartWatch(warehouse)
  return async (...now: readonly Part[]) => {
    parts = now
    const look = await watch.look()
    look.settle()
    return look.partitions.flatMap(({ id, newFromMs }) => (newFromMs === undefined ? [] : [[id, newFromMs / 1_000]]))
  }
}

test('of a table of one server a merge is nothing new, and a part with a new insert in it is', async () => {
  const look = watchOver('MergeTree')
  expect(await look(['a', 3, 3, 30, 1], ['a', 7, 7, 70, 1], ['b', 5, 5, 50, 1])).toEqual([
    ['a', 30],
    ['b', 50],
  ])
  expect(await look(['a', 3, 7, 30, 2], ['b', 5, 5, 50, 1])).toEqual([])
  expect(await look(['a', 3, 9, 30, 3], ['b', 5, 5, 50, 1], ['b', 8, 8, 80, 1])).toEqual([
    ['a', 30],
    ['b', 80],
  ])
})

test('of a replicated table an insert that comes to be seen late is new, also where it is merged by then', async () => {
  const look = watchOver('ReplicatedMergeTree')
  await look(['a', 1, 1, 10, 1], ['a', 3, 3, 30, 1])
  expect(await look(['a', 1, 1, 10, 1], ['a', 2, 2, 20, 1], ['a', 3, 3, 30, 1])).toEqual([['a', 20]])
  expect(await look(['a', 1, 3, 10, 3], ['a', 5, 5, 50, 1])).toEqual([['a', 50]])
  expect(await look(['a', 1, 5, 10, 5])).toEqual([['a', 10]])
})

test('a number that is given again after its part was dropped is new', async () => {
  const look = watchOver('MergeTree')
  await look(['a', 1, 4, 10, 4])
  expect(await look()).toEqual([])
  expect(await look(['a', 1, 1, 15, 1])).toEqual([['a', 15]])
})

test('what is not settled is told again', async () => {
  const rows = [{ partition_id: 'a', engine: 'MergeTree', first: 1, last: 1, from_s: 7, to_s: 9, rows: 3, now_ms: 5 }]
  const watch = new PartWatch({ query: async () => rows } as unknown as Warehouse)
  await watch.look()
  const look = await watch.look()
  expect(look).toMatchObject({ nowMs: 5, partitions: [{ rows: 3, fromMs: 7_000, toMs: 9_999, newFromMs: 7_000 }] })
  look.settle()
  expect((await watch.look()).partitions).toMatchObject([{ newFromMs: undefined }])
})
