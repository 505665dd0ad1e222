/** The properties of a twin that operations write their numbers to (`slotOf`). */
import { type ExchangeLedger, slotCount } from '#loadtest/ledger/exchange-ledger.ts'

export function slotName(slot: number): string {
  return `k${slot}`
}

/** Those that a document, or a patch, has. */
export function slotsOf(document: object): (readonly [slot: number, number: number])[] {
  return Array.from({ length: slotCount }, (_, slot) => [slot, Reflect.get(document, slotName(slot))] as const).flatMap(
    ([slot, value]) => (value === undefined ? [] : [[slot, Number(value)] as const]),
  )
}

/** @returns the numbers that are seen to have arrived by that */
export function arriveAll(
  ledger: ExchangeLedger,
  slots: readonly (readonly [slot: number, number: number])[],
): number[] {
  return slots.flatMap(([slot, number]) => ledger.arriveInSlot(slot, number))
}
