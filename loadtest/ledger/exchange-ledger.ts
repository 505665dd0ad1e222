/**
 * The ledger of what goes the other way, or both ways: reported patches, desired changes, methods and commands of one device. Each is an
 * operation with a number from 0 on, in the order in which they were begun.
 *
 *   begin ─▶ answered | refused | unknown     what its sender was told; `unknown`: nothing, its connection ended or the time was over
 *         ─▶ arrived | dead letter            what its receiver saw, or an operator can see
 *
 * Answered and neither arrived nor a dead letter is lost. Who the receiver is depends on the kind: the store for what devices report, the
 * device for all else. One byte an operation.
 */

/** What a ledger adds up to; plain data, so that it crosses processes. */
export interface ExchangeCounts {
  readonly sent: number
  readonly answered: number
  readonly refused: number
  /** Nobody knows whether they were taken; they may arrive. */
  readonly unknown: number
  /** Neither answered, refused nor arrived. */
  readonly missing: number
  readonly arrived: number
  /** Accepted, and ended as a dead letter. */
  readonly dead: number
  /** Came again after a lost connection, as they may. */
  readonly redelivered: number
  readonly lost: number
  /** Came behind what is newer. */
  readonly backwards: number
  /** Came again for no reason, or of a method: at all. */
  readonly twice: number
}

export const noExchanges: ExchangeCounts = {
  sent: 0,
  answered: 0,
  refused: 0,
  unknown: 0,
  missing: 0,
  arrived: 0,
  dead: 0,
  redelivered: 0,
  lost: 0,
  backwards: 0,
  twice: 0,
}

export function sumExchanges(parts: readonly ExchangeCounts[]): ExchangeCounts {
  const names = Object.keys(noExchanges) as (keyof ExchangeCounts)[]
  const sumOf = (name: keyof ExchangeCounts) => parts.reduce((sum, part) => sum + part[name], 0)
  return Object.fromEntries(names.map((name) => [name, sumOf(name)])) as unknown as ExchangeCounts
}

export type Settlement = 'answered' | 'refused' | 'unknown'

/**
 * An operation on a document writes its number into one of so many of its properties in turn. So the document shows of each of the last ones
 * whether it was carried out, and a later one covers only the earlier ones of its own property.
 */
export const slotCount = 8

export function slotOf(number: number): number {
  return number % slotCount
}

const settledBits = { answered: 1, refused: 2, unknown: 4 } as const satisfies Record<Settlement, number>
const arrivedBit = 8
const deadBit = 16

export class ExchangeLedger {
  sent = 0
  settled = 0
  /** Accepted, and not seen so far. */
  unseen = 0
  #redelivered = 0
  #backwards = 0
  #twice = 0
  #flags = new Uint8Array(64)
  /** Of each slot, up to which number its operations have arrived. */
  readonly #slots = new Int32Array(slotCount).fill(-1)
  readonly #faults: string[] = []

  /** @returns the operation's number */
  begin(): number {
    if (this.sent === this.#flags.length) {
      const larger = new Uint8Array(this.#flags.length * 2)
      larger.set(this.#flags)
      this.#flags = larger
    }
    return this.sent++
  }

  /** Only the first counts: an answer that comes after its operation was given up changes nothing. */
  settle(number: number, how: Settlement): void {
    const flags = this.#flagsOf(number)
    if (flags === undefined || (flags & (1 | 2 | 4)) !== 0) return
    this.#set(number, flags | settledBits[how])
    this.settled++
  }

  /**
   * The receiver saw one by itself.
   * @param mayComeAgain its connection was lost since it may have come
   * @returns true the first time
   */
  arrive(number: number, mayComeAgain: boolean): boolean {
    const flags = this.#flagsOf(number)
    if (flags === undefined) {
      this.noteTwice(`${number} arrived, which was never sent`)
      return false
    }
    if ((flags & arrivedBit) === 0) {
      this.#set(number, flags | arrivedBit)
      return true
    }
    if (mayComeAgain) this.#redelivered++
    else this.noteTwice(`${number} came twice`)
    return false
  }

  /** The receiver's document has this number in a slot. @returns the numbers that are seen to have arrived by that, newest first */
  arriveInSlot(slot: number, number: number): number[] {
    const before = this.#slots[slot] ?? -1
    if (!Number.isInteger(number) || slotOf(number) !== slot || this.#flagsOf(number) === undefined) {
      this.noteTwice(`property ${slot} has ${number}, which was never sent to it`)
      return []
    }
    if (number < before && !this.mayComeLate(number))
      this.noteBackwards(`property ${slot} went from ${before} to ${number}`)
    const arrived: number[] = []
    for (let each = number; each > before; each -= slotCount) {
      // What was refused was not carried out; a later one says nothing of it.
      if (((this.#flags[each] ?? 0) & settledBits.refused) !== 0) continue
      this.#set(each, (this.#flags[each] ?? 0) | arrivedBit)
      arrived.push(each)
    }
    this.#slots[slot] = Math.max(before, number)
    return arrived
  }

  /** Its sender got no answer and went on: it may have been carried out behind later ones. */
  mayComeLate(number: number): boolean {
    return ((this.#flagsOf(number) ?? 0) & settledBits.unknown) !== 0
  }

  /** It ended as a dead letter, which can be read. */
  noteDead(number: number): void {
    const flags = this.#flagsOf(number)
    if (flags !== undefined) this.#set(number, flags | deadBit)
  }

  noteBackwards(what: string): void {
    this.#backwards++
    this.#note(what)
  }

  noteTwice(what: string): void {
    this.#twice++
    this.#note(what)
  }

  counts(): ExchangeCounts {
    const counts = { ...noExchanges, sent: this.sent, redelivered: this.#redelivered }
    for (let number = 0; number < this.sent; number++) {
      const flags = this.#flags[number] ?? 0
      if ((flags & settledBits.answered) !== 0) counts.answered++
      if ((flags & settledBits.refused) !== 0) counts.refused++
      if ((flags & settledBits.unknown) !== 0) counts.unknown++
      if ((flags & arrivedBit) !== 0) counts.arrived++
      else if ((flags & deadBit) !== 0) counts.dead++
      if ((flags & (settledBits.answered | settledBits.refused | arrivedBit | deadBit)) === 0) counts.missing++
    }
    return { ...counts, lost: this.unseen, backwards: this.#backwards, twice: this.#twice }
  }

  /** The first that went wrong, for people. */
  faults(): readonly string[] {
    if (this.unseen === 0) return this.#faults
    const first = this.#flags.findIndex(isLost)
    return [this.unseen === 1 ? `lost ${first}` : `lost ${this.unseen}, the first is ${first}`, ...this.#faults]
  }

  #set(number: number, flags: number): void {
    this.unseen += Number(isLost(flags)) - Number(isLost(this.#flags[number] ?? 0))
    this.#flags[number] = flags
  }

  #flagsOf(number: number): number | undefined {
    return Number.isInteger(number) && number >= 0 && number < this.sent ? this.#flags[number] : undefined
  }

  #note(what: string): void {
    if (this.#faults.length < faultsKeptMax) this.#faults.push(what)
  }
}

/** Of a device. */
const faultsKeptMax = 5

function isLost(flags: number): boolean {
  return (flags & settledBits.answered) !== 0 && (flags & (arrivedBit | deadBit)) === 0
}
