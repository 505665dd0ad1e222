import { expect, test } from 'vitest'
import type { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { PartitionReaders } from './partition-readers.ts'

function entering() {
  const readers = new PartitionReaders()
  const stolen: string[] = []
  const enter = (name: string, epoch?: number, place = 'p') =>
    readers.enter(place, epoch, ({ code }: PenstockError) => stolen.push(`${name} ${code}`))
  return { readers, stolen, enter }
}
const refusedWith = (code: string) => expect.objectContaining({ code })

test('of readers with epochs the higher or else the newer one stays, and none without one stays beside it', () => {
  const { readers, stolen, enter } = entering()
  const leaveNone = enter('none')
  enter('elsewhere', undefined, 'q')
  const leaveFirst = enter('first', 3)
  expect(stolen).toEqual(['none INGEST_LINK_STOLEN'])
  leaveNone()
  expect(() => enter('lower', 2)).toThrow(refusedWith('INGEST_LINK_STOLEN'))
  expect(() => enter('late')).toThrow(refusedWith('INGEST_LINK_STOLEN'))
  const leaveEqual = enter('equal', 3)
  leaveFirst()
  leaveFirst()
  const leaveHigher = enter('higher', 4)
  leaveEqual()
  expect(stolen.slice(1)).toEqual(['first INGEST_LINK_STOLEN', 'equal INGEST_LINK_STOLEN'])
  leaveHigher()
  expect(readers.count).toBe(1)
  expect(() => enter('again')).not.toThrow()
})

test('without epochs a few read together, and all readers of an edge are bounded', () => {
  const { readers, enter } = entering()
  const leaves = Array.from({ length: limits.readersPerPartitionMax }, (_, index) => enter(String(index)))
  expect(() => enter('one more')).toThrow(refusedWith('INGEST_READERS_FULL'))
  leaves[0]?.()
  enter('one less')
  for (let place = 0; readers.count < limits.readersMax; place++) enter('other', 0, `place ${place}`)
  expect(() => enter('beyond', 0, 'beyond')).toThrow(refusedWith('INGEST_READERS_FULL'))
})
