import { assert } from '#runtime/assert.ts'

/**
 * Gathering is tried above so many writes of acknowledgements a millisecond. A read and a write cost some 20 µs of CPU.
 */
const writesPerMsMax = 20
/** Gathering pays if a write acknowledges so many messages. */
const messagesPerWriteMin = 1.5
/**
 * If only this share of the former messages comes in two looks, devices wait for acknowledgements before they send on.
 */
const shareMin = 0.75
/** If only this share comes, one look is enough. */
const shareMinOnce = 0.5
const batchDelaysPerPeriod = 6
/** The thread does nothing else while it sleeps: it answers no request, accepts no device. */
const periodMsMax = 100
/**
 * The thread stays awake for so long after something came that waits for its next step. A handshake and a CONNECT take
 * two to five steps, each a way there and back. A step that takes longer waits for one sleep at most.
 */
const awakeMs = 10
const lookMs = 500
/** If fewer messages come after more looks than these, the load has just ended. */
const trialLooks = 2
/**
 * Gathering goes on for so long, and is then compared anew with its absence. Where it brought nothing, it is not tried
 * again for so long.
 */
const trialEveryMs = 60_000

/**
 * Decides whether the edge gathers, as a network card that moderates its interrupts does: it looks at its sockets once
 * a period, and sleeps in between. The dearest steps of a message are the read that brings it and the write that
 * acknowledges it. With many devices it costs less to take in several messages of each with one read and one write.
 * Gathering is tried while such writes are many. It is given up where a write still acknowledges about one message, or
 * where devices send less because of it.
 */
export class Gathering {
  /** From the end of one sleep to the end of the next, at least; 0 where gathering is never tried. */
  readonly periodMs: number
  #isOn = false
  #writes = 0
  #messages = 0
  #sinceMs = 0
  /** While it is off: looks in a row with many writes. */
  #manyLooks = 0
  /** While it is on: looks since it began, and looks in a row with fewer messages. */
  #looksOn = 0
  #fewerLooks = 0
  /** The least of two looks before it began: a backlog that was worked off in one of them is no measure of what devices send. */
  #messagesPerMsBefore = 0
  #endsAtMs = 0
  #notUntilMs = 0
  #awakeUntilMs = 0
  /** Time since the last look in which it stayed awake though it gathers. */
  #awakeMs = 0

  constructor(batchDelayMs: number) {
    assert(batchDelayMs >= 0, 'a batch waits for some time, or for none')
    const periodMs = Math.min(batchDelaysPerPeriod * batchDelayMs, periodMsMax)
    this.periodMs = periodMs > batchDelayMs ? periodMs : 0
  }

  /** One write acknowledged so many messages. */
  acknowledged(messages: number): void {
    this.#writes++
    this.#messages += messages
  }

  /** A device connects, or somebody asks and waits for an answer: each step of it would wait for a sleep. */
  stayAwake(nowMs: number): void {
    const leftMs = this.maySleep(nowMs) ? 0 : this.#awakeUntilMs - nowMs
    this.#awakeMs += awakeMs - leftMs
    this.#awakeUntilMs = nowMs + awakeMs
  }

  /** Whether the thread may sleep where it gathers. A clock that is set back does not keep it awake. */
  maySleep(nowMs: number): boolean {
    return nowMs >= this.#awakeUntilMs || nowMs < this.#awakeUntilMs - awakeMs
  }

  /** Whether to gather now; what was acknowledged is looked at each half second. */
  isOn(nowMs: number): boolean {
    const passedMs = nowMs - this.#sinceMs
    if (passedMs >= 0 && passedMs < lookMs) return this.#isOn
    if (passedMs >= lookMs) {
      if (this.#isOn) this.#lookOn(nowMs, this.#messages / passedMs, this.#awakeMs > passedMs / 2)
      else this.#lookOff(nowMs, passedMs)
    }
    this.#writes = 0
    this.#messages = 0
    this.#awakeMs = 0
    this.#sinceMs = nowMs
    return this.#isOn
  }

  #lookOff(nowMs: number, passedMs: number): void {
    const isMany = this.#writes > writesPerMsMax * passedMs
    if (!isMany || this.periodMs === 0 || nowMs < this.#notUntilMs) {
      this.#manyLooks = 0
      return
    }
    const messagesPerMs = this.#messages / passedMs
    if (this.#manyLooks++ === 0) {
      this.#messagesPerMsBefore = messagesPerMs
      return
    }
    this.#messagesPerMsBefore = Math.min(messagesPerMs, this.#messagesPerMsBefore)
    this.#isOn = true
    this.#looksOn = 0
    this.#fewerLooks = 0
    this.#endsAtMs = nowMs + trialEveryMs
  }

  /** @param wasAwake it slept so little that messages a write do not show what sleeping brings */
  #lookOn(nowMs: number, messagesPerMs: number, wasAwake: boolean): void {
    const share = messagesPerMs / this.#messagesPerMsBefore
    this.#looksOn++
    this.#fewerLooks = share < shareMin ? this.#fewerLooks + 1 : 0
    if (share < shareMinOnce || this.#fewerLooks > 1)
      this.#end(this.#looksOn > trialLooks ? nowMs : nowMs + trialEveryMs)
    else if (!wasAwake && this.#messages < this.#writes * messagesPerWriteMin) this.#end(nowMs + trialEveryMs)
    else if (nowMs >= this.#endsAtMs) this.#end(nowMs)
  }

  #end(notUntilMs: number): void {
    this.#isOn = false
    this.#manyLooks = 0
    this.#notUntilMs = notUntilMs
  }
}
