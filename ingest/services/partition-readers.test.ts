import { expect, test } from 'vitest'
import { virtualClock } from '#runtime/virtual-clock.ts'
import type { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { PartitionReaders, type ReaderClaim } from './partition-readers.ts'

function entering(clock = virtualClock(0)) {
  const told: ReaderClaim[] = []
  const readers = new PartitionReaders(clock, (claim) => told.push(claim))
  const stolen: string[] = []
  /** Whose partition is taken over leaves, as a link does. */
  const enter = (name: string, epoch?: number, place = 'p') => {
    const leave = readers.enter(place, epoch, ({ code }: PenstockError) => {
      stolen.push(`${name} ${code}`)
      leave()
    })
    return leave
  }
  return { readers, stolen, enter, told }
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

test('of readers at two edge processes the higher or newer one stays, until nothing is heard of it', () => {
  const clock = virtualClock(0)
  const [here, there] = [entering(clock), entering(clock)]
  const pass = () => {
    for (const claim of here.told.splice(0)) there.readers.heard(claim)
    for (const claim of there.told.splice(0)) here.readers.heard(claim)
  }
  const leaveOld = here.enter('old', 0)
  pass()
  expect(() => there.enter('none')).toThrow(refusedWith('INGEST_LINK_STOLEN'))
  there.enter('new', 0)
  pass()
  expect([here.stolen, there.stolen]).toEqual([['old INGEST_LINK_STOLEN'], []])
  leaveOld()
  pass()
  // It stays, and is told of again and again.
  for (let times = 0; times < 4; times++) {
    expect(clock.step()).toBe(true)
    pass()
  }
  expect(there.stolen).toEqual([])
  expect(() => here.enter('none')).toThrow(refusedWith('INGEST_LINK_STOLEN'))
  here.readers.heard({ place: 'q', epoch: 5, kind: 'comes' })
  expect(() => here.enter('lower', 4, 'q')).toThrow(refusedWith('INGEST_LINK_STOLEN'))
  // Two that came at once: the lower one hears of the higher.
  there.enter('higher', 9, 'r')
  here.enter('lower', 8, 'r')
  pass()
  pass()
  expect([here.stolen.at(-1), there.stolen]).toEqual(['lower INGEST_LINK_STOLEN', []])
  // Its process died without a word.
  let over = false
  clock.after(limits.readerClaimMs + 1, () => {
    over = true
  })
  while (!over) clock.step()
  expect(() => here.enter('lower', 4, 'q')).not.toThrow()
})

test('a reader that goes for one at another edge process does not end its claim at a third', () => {
  const clock = virtualClock(0)
  const edges = [entering(clock), entering(clock), entering(clock)] as const
  const pass = () => {
    for (let round = 0; round < 3; round++)
      for (const from of edges)
        for (const claim of from.told.splice(0)) for (const to of edges) if (to !== from) to.readers.heard(claim)
  }
  const [old, newer, third] = edges
  // As a link does: it ends at once.
  const leaveOld = old.readers.enter('p', 1, () => leaveOld())
  pass()
  newer.enter('newer', 2)
  pass()
  expect(old.readers.count).toBe(0)
  expect(() => third.enter('none')).toThrow(refusedWith('INGEST_LINK_STOLEN'))
  // It left at the moment at which the other one came, and is heard of last.
  third.readers.heard({ place: 'p', epoch: 1, kind: 'leaves' })
  expect(() => third.enter('none')).toThrow(refusedWith('INGEST_LINK_STOLEN'))
})
