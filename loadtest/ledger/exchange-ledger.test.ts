import { describe, expect, test } from 'vitest'
import { ExchangeLedger, noExchanges, slotCount, sumExchanges } from './exchange-ledger.ts'

/** So many operations, all answered. */
function answered(count: number): ExchangeLedger {
  const ledger = new ExchangeLedger()
  for (let each = 0; each < count; each++) ledger.settle(ledger.begin(), 'answered')
  return ledger
}

describe('a ledger of operations', () => {
  test('is clean where each was answered and arrived once, however many there are', () => {
    const ledger = answered(1_000)
    for (let each = 0; each < 1_000; each++) expect(ledger.arrive(each, false)).toBe(true)
    expect(ledger.counts()).toEqual({ ...noExchanges, sent: 1_000, answered: 1_000, arrived: 1_000 })
    expect(ledger.faults()).toEqual([])
  })

  test.each([0, 63, 64, 99])('finds that number %i was lost, and no other', (lost) => {
    const ledger = answered(100)
    for (let each = 0; each < 100; each++) if (each !== lost) ledger.arrive(each, false)
    expect(ledger.unseen).toBe(1)
    expect(ledger.counts()).toMatchObject({ arrived: 99, lost: 1, missing: 0 })
    expect(ledger.faults()).toEqual([`lost ${lost}`])
  })

  test('a dead letter is not lost; neither is what was refused, or may not have been taken', () => {
    const ledger = answered(1)
    ledger.noteDead(0)
    ledger.settle(ledger.begin(), 'refused')
    ledger.settle(ledger.begin(), 'unknown')
    ledger.begin()
    expect(ledger.counts()).toEqual({
      ...noExchanges,
      sent: 4,
      answered: 1,
      refused: 1,
      unknown: 1,
      missing: 2,
      dead: 1,
    })
  })

  test('only the first word of a sender counts', () => {
    const ledger = answered(1)
    ledger.settle(0, 'refused')
    ledger.settle(7, 'answered')
    expect([ledger.settled, ledger.counts().refused, ledger.counts().sent]).toEqual([1, 0, 1])
  })

  test('a second arrival is a fault, but for one whose connection was lost', () => {
    const ledger = answered(2)
    ledger.arrive(0, true)
    expect(ledger.arrive(0, true)).toBe(false)
    expect(ledger.counts()).toMatchObject({ redelivered: 1, twice: 0 })
    ledger.arrive(0, false)
    ledger.arrive(9, false)
    expect(ledger.counts()).toMatchObject({ redelivered: 1, twice: 2 })
  })
})

describe('a ledger of changes of a document', () => {
  test('what is newer covers earlier ones of its own property, and of no other', () => {
    const ledger = answered(2 * slotCount + 1)
    expect(ledger.arriveInSlot(0, 2 * slotCount)).toEqual([2 * slotCount, slotCount, 0])
    expect(ledger.counts()).toMatchObject({ arrived: 3, lost: 2 * slotCount - 2 })
    for (let slot = 1; slot < slotCount; slot++) ledger.arriveInSlot(slot, slotCount + slot)
    expect(ledger.counts()).toMatchObject({ arrived: 2 * slotCount + 1, lost: 0, backwards: 0 })
  })

  test('a property that has an earlier number again went backwards; the same again did not', () => {
    const ledger = answered(slotCount + 1)
    ledger.arriveInSlot(0, slotCount)
    expect(ledger.arriveInSlot(0, slotCount)).toEqual([])
    expect(ledger.counts().backwards).toBe(0)
    ledger.arriveInSlot(0, 0)
    expect(ledger.counts()).toMatchObject({ backwards: 1, arrived: 2 })
  })

  test('what nobody answered may be carried out behind later ones', () => {
    const ledger = new ExchangeLedger()
    ledger.settle(ledger.begin(), 'unknown')
    for (let number = 1; number <= slotCount; number++) ledger.settle(ledger.begin(), 'answered')
    ledger.arriveInSlot(0, slotCount)
    ledger.arriveInSlot(0, 0)
    expect([ledger.mayComeLate(0), ledger.mayComeLate(1), ledger.counts().backwards]).toEqual([true, false, 0])
  })

  test('what was refused did not arrive because a later one did', () => {
    const ledger = answered(slotCount)
    ledger.settle(ledger.begin(), 'refused')
    for (let slot = 1; slot <= slotCount; slot++) ledger.settle(ledger.begin(), 'answered')
    expect(ledger.arriveInSlot(0, 2 * slotCount)).toEqual([2 * slotCount, 0])
  })

  test.each([
    ['never sent', 0, slotCount],
    ['of another property', 1, 0],
    ['no number at all', 0, Number.NaN],
  ])('a property that has a number that was %s is a fault', (_, slot, number) => {
    const ledger = answered(1)
    expect(ledger.arriveInSlot(slot, number)).toEqual([])
    expect(ledger.counts().twice).toBe(1)
  })
})

test('ledgers add up', () => {
  const one = answered(3)
  one.arrive(0, false)
  const other = answered(2)
  other.noteBackwards('x')
  expect(sumExchanges([one.counts(), other.counts()])).toEqual({
    ...noExchanges,
    sent: 5,
    answered: 5,
    arrived: 1,
    lost: 4,
    backwards: 1,
  })
  expect(sumExchanges([])).toEqual(noExchanges)
})
