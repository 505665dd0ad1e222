import { describe, expect, it } from 'vitest'
import { seededRandom } from '#runtime/seeded-random.ts'
import { assertOwner, emptyGroup, type GroupState, groupLeave, groupStep, spreadPartitions } from './group.ts'

const none: ReadonlySet<string> = new Set()
const member = (id: string) => ({ id, process: 'p' })
const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31))

describe('spreadPartitions', () => {
  it('gives every partition to a member, shares differ by one at most, and nobody loses what its share allows', () => {
    const random = seededRandom(seed).below
    for (let round = 0; round < 500; round++) {
      const members = Array.from({ length: 1 + random(6) }, (_, index) => `m${index}`)
      const holders = Array.from(
        { length: random(40) },
        () => [undefined, 'gone', ...members][random(members.length + 2)],
      )
      const spread = spreadPartitions(holders, members)
      const counts = members.map((id) => spread.filter((owner) => owner === id).length)
      expect(
        spread.every((owner) => owner !== undefined && members.includes(owner)),
        `SEED=${seed}`,
      ).toBe(true)
      expect(Math.max(...counts) - Math.min(...counts), `SEED=${seed}`).toBeLessThanOrEqual(1)
      const share = Math.floor(holders.length / members.length)
      for (const id of members) {
        const held = holders.filter((holder) => holder === id).length
        const kept = spread.filter((owner, index) => owner === id && holders[index] === id).length
        expect(kept, `SEED=${seed}`).toBeGreaterThanOrEqual(Math.min(held, share))
      }
    }
  })
})

describe('a group', () => {
  it('has one owner a partition, whose generation is new with every change of owner, under any joins, leaves and deaths', () => {
    const random = seededRandom(seed).below
    const ids = ['a', 'b', 'c', 'd']
    let state: GroupState = emptyGroup(7)
    for (let round = 0; round < 2_000; round++) {
      const before = state
      const id = ids[random(ids.length)]!
      state =
        random(10) === 0
          ? groupLeave(state, id)
          : groupStep(state, member(id), random(20) === 0 ? new Set([ids[random(ids.length)]!]) : none)
      for (const [index, { owner, generation }] of state.partitions.entries()) {
        const old = before.partitions[index]!
        expect(generation, `SEED=${seed}`).toBeGreaterThanOrEqual(old.generation)
        if (owner !== undefined && owner !== old.owner) expect(generation, `SEED=${seed}`).toBe(old.generation + 1)
        if (owner !== undefined)
          expect(
            state.members.some((one) => one.id === owner),
            `SEED=${seed}`,
          ).toBe(true)
        const oldLives = state.members.some((one) => one.id === old.owner)
        if (owner !== undefined && oldLives) expect(owner, `SEED=${seed}`).toBe(old.owner)
      }
    }
    for (let round = 0; round < 3; round++)
      for (const { id } of state.members) state = groupStep(state, member(id), none)
    if (state.members.length > 0)
      expect(state.partitions.every(({ owner, wanted }) => owner === wanted && owner !== undefined)).toBe(true)
  })

  it('grows by one revision with every change, and is the same object without one', () => {
    const empty = emptyGroup(3)
    expect(empty).toMatchObject({ revision: 0, members: [], partitions: { length: 3 } })
    const joined = groupStep(empty, member('a'), none)
    expect(joined.revision).toBe(1)
    expect(groupStep(joined, member('a'), none)).toBe(joined)
    expect(groupStep(joined, member('a'), new Set(['gone']))).toBe(joined)
    expect(groupLeave(joined, 'gone')).toBe(joined)
    const second = groupStep(joined, member('b'), none)
    expect([second.revision, second.members.map(({ id }) => id)]).toEqual([2, ['a', 'b']])
    // What a holds and the plan gives to b is given up in a step of a, and taken in one of b.
    expect(second.partitions.map(({ owner }) => owner)).toEqual(['a', 'a', 'a'])
    expect(groupStep(second, member('b'), none)).toBe(second)
    const givenUp = groupStep(second, member('a'), none)
    expect(givenUp.partitions.map(({ owner }) => owner)).toEqual(['a', 'a', undefined])
    const taken = groupStep(givenUp, member('b'), none)
    expect(taken.partitions.map(({ owner, generation }) => [owner, generation])).toEqual([
      ['a', 1],
      ['a', 1],
      ['b', 2],
    ])
    expect([givenUp.revision, taken.revision, groupLeave(taken, 'a').revision]).toEqual([3, 4, 5])
  })

  it('removes the dead, but never who makes the step, and sets free what left members owned', () => {
    const both = groupStep(groupStep(emptyGroup(2), member('a'), none), member('b'), none)
    const spread = groupStep(groupStep(both, member('a'), none), member('b'), none)
    expect(spread.partitions.map(({ owner }) => owner)).toEqual(['a', 'b'])
    const alone = groupStep(spread, member('a'), new Set(['a', 'b']))
    expect(alone.members.map(({ id }) => id)).toEqual(['a'])
    expect(alone.partitions.map(({ owner, generation }) => [owner, generation])).toEqual([
      ['a', 1],
      ['a', 3],
    ])
    const left = groupLeave(spread, 'b')
    expect(left.partitions.map(({ owner, wanted }) => [owner, wanted])).toEqual([
      ['a', 'a'],
      [undefined, 'a'],
    ])
    expect(groupLeave(groupLeave(spread, 'b'), 'a').partitions.map(({ wanted }) => wanted)).toEqual([
      undefined,
      undefined,
    ])
  })

  it('accepts a commit from the owner under its generation only [G-2]', () => {
    let state = groupStep(emptyGroup(2), member('a'), none)
    const { generation } = state.partitions[0]!
    expect(() => assertOwner(state, 0, 'a', generation)).not.toThrow()
    expect(() => assertOwner(state, 0, 'b', generation)).toThrow(
      expect.objectContaining({ code: 'LOG_GENERATION_STALE' }),
    )
    expect(() => assertOwner(state, 0, 'a', generation - 1)).toThrow(
      expect.objectContaining({ code: 'LOG_GENERATION_STALE' }),
    )
    state = groupStep(state, member('b'), new Set(['a']))
    expect(() => assertOwner(state, 0, 'a', generation)).toThrow(
      expect.objectContaining({ code: 'LOG_GENERATION_STALE' }),
    )
    expect(state.partitions.map(({ owner }) => owner)).toEqual(['b', 'b'])
  })
})
