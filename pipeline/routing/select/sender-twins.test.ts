import { describe, expect, test } from 'vitest'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { FakeTwins } from './batches-fixture.ts'
import { RecordTwins, SenderTwins } from './sender-twins.ts'

const siteOf = (twins: SenderTwins, sender: string): unknown => twins.find(sender)?.[twins.indexOf(['tags', 'site'])]

function opened(bytesMax?: number) {
  const reader = new FakeTwins()
  const clock = virtualClock()
  const twins = new SenderTwins({ reader, clock, ageMsMax: 1_000, ...(bytesMax === undefined ? {} : { bytesMax }) })
  twins.indexOf(['tags', 'site'])
  const set = (sender: string, site: unknown) => reader.twins.set(sender, { tags: { Site: site }, properties: {} })
  return { reader, clock, twins, set }
}

describe('twins of senders', () => {
  test('are read once, many at once, and kept; of who has none everything is absent', async () => {
    const { reader, twins, set } = opened()
    set('a', 'x')
    set('a/m', 'y')
    expect(twins.find('a')).toBeUndefined()
    await twins.load(['a', 'a/m', 'nobody'])
    expect(['a', 'a/m', 'nobody'].map((sender) => siteOf(twins, sender))).toEqual(['x', 'y', undefined])
    expect(twins.find('nobody')).toEqual([undefined])
    expect(reader.asked).toEqual([['a', 'a/m', 'nobody']])
    await twins.load(Array.from({ length: 450 }, (_, n) => `d${n}`))
    expect(reader.asked.slice(1).map(({ length }) => length)).toEqual([200, 200, 50])
  })

  test('are read again once they are too old, or changed in what is wanted of them', async () => {
    const { clock, twins, set } = opened()
    set('a', 'x')
    await twins.load(['a'])
    twins.changed('a', { tags: { other: 1 }, properties: { reported: { site: 1 } } })
    twins.changed('b', undefined)
    expect(siteOf(twins, 'a')).toBe('x')
    for (const body of [{ tags: { SITE: 'z' } }, { tags: null }, { tags: { site: null } }, undefined]) {
      await twins.load(['a'])
      expect(siteOf(twins, 'a')).toBe('x')
      twins.changed('a', body)
      expect(twins.find('a')).toBeUndefined()
    }
    await twins.load(['a'])
    twins.missed()
    expect(twins.find('a')).toBeUndefined()
    await twins.load(['a'])
    clock.after(1_001, () => {})
    clock.step()
    expect(twins.find('a')).toBeUndefined()
  })

  test('that change while they are read are read again: the read may not have seen it', async () => {
    const { reader, twins, set } = opened()
    set('a', 'before')
    const { read } = reader
    reader.read = async (senders) => {
      const found = await read.call(reader, senders)
      set('a', 'after')
      twins.changed('a', { tags: { site: 'after' } })
      return found
    }
    await twins.load(['a'])
    expect(twins.find('a')).toBeUndefined()
    reader.read = read
    await twins.load(['a'])
    expect(siteOf(twins, 'a')).toBe('after')
  })

  test('count as they are known while the store is away, however old; nobody guesses those that are not', async () => {
    const { reader, twins, set } = opened()
    set('a', 'x')
    await twins.load(['a'])
    twins.missed()
    reader.isAway = true
    expect((await twins.load(['a'])).get('a')).toEqual(['x'])
    // Each failure may take as long as a time-out: it is not asked again at once.
    const asked = reader.asked.length
    expect((await twins.load(['a'])).get('a')).toEqual(['x'])
    expect(reader.asked.length).toBe(asked)
    await expect(twins.load(['a', 'b'])).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE', disposition: 'retry' })
    // A route that came meanwhile asks for what was never read.
    twins.indexOf(['tags', 'hall'])
    await expect(twins.load(['a'])).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
  })

  test('take no more memory than they may; those that were not used for longest go first', async () => {
    const { twins } = opened(3_000)
    await twins.load(['a'])
    for (let n = 0; n < 100; n++) {
      await twins.load([`d${n}`])
      expect(twins.find('a')).toBeDefined()
      expect(twins.bytes).toBeLessThanOrEqual(3_000)
    }
    expect(twins.size).toBeGreaterThan(5)
    expect(twins.find('d0')).toBeUndefined()
  })

  test('stay the same to the end of a selection, whatever changes meanwhile', async () => {
    const { twins, set } = opened()
    set('a', 'x')
    const record = new RecordTwins(twins)
    expect(record.of('a')).toBeUndefined()
    expect(await record.load()).toBe(true)
    set('a', 'y')
    twins.changed('a', undefined)
    await twins.load(['a'])
    expect(siteOf(twins, 'a')).toBe('y')
    expect(record.of('a')).toEqual(['x'])
    expect(await record.load()).toBe(false)
  })
})
