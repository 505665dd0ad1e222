import { type AskTogether, compileTogether } from '#pipeline/routing/condition/compile-together.ts'
import { PenstockError } from '#schemas/errors.ts'
import { ByteTable } from './byte-table.ts'
import { EnvelopeScan } from './envelope-scan.ts'
import type { RouteSet, Rule, SourceRules } from './route-set.ts'
import type { RecordTwins } from './sender-twins.ts'
import { StoredFacts } from './stored-facts.ts'
import { SuffixTable } from './suffix-table.ts'
import type { PropertyFacts } from './wanted-properties.ts'

/** The shortest envelope: three lengths or times, and two maps, all of them empty. */
const envelopeBytesMin = 5

/** What conditions made of the messages of a record, by the index of their route. */
export class RouteTally {
  readonly matched: Uint32Array
  readonly undefined: Uint32Array

  constructor(routeCount: number) {
    this.matched = new Uint32Array(routeCount)
    this.undefined = new Uint32Array(routeCount)
  }

  count(index: number, verdict: boolean | undefined, messages: number): void {
    if (verdict === true) this.matched[index] = (this.matched[index] ?? 0) + messages
    else if (verdict === undefined) this.undefined[index] = (this.undefined[index] ?? 0) + messages
  }
}

/** Messages of one block: where they begin, and to which endpoints each goes. */
export interface BlockVerdicts {
  /** Where each message begins; last, where the last one ends. */
  readonly starts: Uint32Array
  /** `maskWords` for each message. */
  readonly masks: Uint32Array
}

/** What is decided for all messages with the same properties. */
interface SuffixVerdicts extends PropertyFacts {
  readonly mask: Uint32Array
  readonly isMatched: boolean
  /** Of the rules by suffix, in their order. */
  readonly verdicts: readonly (boolean | undefined)[]
  /** Undefined also where the fallback needs more than the properties, or has nothing to do. */
  readonly fallback: boolean | undefined
  /** Messages of the current block. */
  messages: number
}

/** Asks the conditions of one source about every message of a block. */
export class SelectionPass {
  readonly #rules: SourceRules
  readonly #words: number
  readonly #scan = new EnvelopeScan()
  readonly #facts: StoredFacts
  readonly #suffixes = new SuffixTable<SuffixVerdicts>()
  /** By the wanted properties alone: where others never repeat, as a time among them. */
  readonly #values = new ByteTable<SuffixVerdicts>()
  /** Suffixes of the current block. */
  #met: SuffixVerdicts[] = []
  readonly #askTogether: AskTogether
  /** Indexes of the rules by message that are true of the current one. */
  readonly #trues: Uint32Array
  /** Messages of the current block of which a rule by message is undefined. */
  readonly #undefinedCounts: Uint32Array

  constructor(routeSet: RouteSet, rules: SourceRules) {
    this.#rules = rules
    this.#words = routeSet.maskWords
    this.#facts = new StoredFacts(routeSet.needs)
    this.#askTogether = compileTogether(rules.byMessage.map(({ condition }) => condition))
    this.#trues = new Uint32Array(rules.byMessage.length)
    this.#undefinedCounts = new Uint32Array(rules.byMessage.length)
  }

  /** Messages whose properties were known as they stand, and those whose wanted properties were read. */
  get suffixes(): { readonly hits: number; readonly misses: number } {
    return this.#suffixes
  }

  /**
   * HOT: per message; a comparison of the properties, then each condition by message.
   * @param count how many messages there must be
   * @param twins of their senders; left out: nobody has one
   * @throws BATCH_CORRUPT
   */
  run(plain: Buffer, count: number, tally: RouteTally, twins?: RecordTwins): BlockVerdicts {
    if (count > plain.length / envelopeBytesMin) throw miscounted(count)
    const words = this.#words
    const { byMessage, fallback } = this.#rules
    const asksMessages = byMessage.length > 0 || (fallback !== undefined && !fallback.isBySuffix)
    const starts = new Uint32Array(count + 1)
    const masks = new Uint32Array(count * words)
    const scan = this.#scan
    this.#facts.useTwins(twins)
    scan.open(plain)
    this.#forget()
    let index = 0
    for (; scan.next(); index++) {
      if (index === count) throw miscounted(count)
      starts[index] = scan.start
      const known = this.#suffixes.find(scan) ?? this.#learn(scan)
      if (known.messages++ === 0) this.#met.push(known)
      const at = index * words
      for (let word = 0; word < words; word++) masks[at + word] = known.mask[word] as number
      if (asksMessages) this.#ask(known, masks, at, tally)
    }
    if (index !== count) throw miscounted(count)
    starts[count] = scan.end
    this.#settle(count, tally)
    return { starts, masks }
  }

  /** The conditions by message, about the envelope entered. HOT: per message and condition. */
  #ask(known: SuffixVerdicts, masks: Uint32Array, at: number, tally: RouteTally): void {
    const { byMessage, fallback } = this.#rules
    const facts = this.#facts
    facts.enter(this.#scan, known)
    const trues = this.#trues
    const trueCount = this.#askTogether(facts, trues, this.#undefinedCounts)
    for (let index = 0; index < trueCount; index++) {
      const rule = byMessage[trues[index] as number] as Rule
      tally.count(rule.index, true, 1)
      add(masks, at, rule.mask)
    }
    if (fallback === undefined || known.isMatched || trueCount > 0) return
    const verdict = fallback.isBySuffix ? known.fallback : fallback.condition.evaluate(facts)
    tally.count(fallback.index, verdict, 1)
    if (verdict === true) add(masks, at, fallback.mask)
  }

  /** What the properties of the envelope entered decide, if they are not known as they stand; it is kept where there is room. */
  #learn(scan: EnvelopeScan): SuffixVerdicts {
    const { wanted } = this.#facts
    wanted.read(scan)
    const key = wanted.key(scan)
    let known = key && this.#values.find(key, 0, key.length)
    if (known === undefined) {
      known = this.#decide(scan, wanted.facts(scan))
      if (key !== undefined) this.#values.keep(key, 0, key.length, known)
    }
    this.#suffixes.keep(scan, known)
    return known
  }

  #decide(scan: EnvelopeScan, properties: PropertyFacts): SuffixVerdicts {
    const { always, alwaysMask, bySuffix, byMessage, fallback } = this.#rules
    this.#facts.enter(scan, properties)
    const mask = alwaysMask.slice()
    let isMatched = always.length > 0
    const verdicts = bySuffix.map(({ condition, mask: endpoints }) => {
      const verdict = condition.evaluate(this.#facts)
      if (verdict === true) {
        isMatched = true
        add(mask, 0, endpoints)
      }
      return verdict
    })
    const fallbackVerdict = fallback?.isBySuffix === true ? fallback.condition.evaluate(this.#facts) : undefined
    // Where no other condition can match, it is decided here.
    if (byMessage.length === 0 && fallback !== undefined && !isMatched && fallbackVerdict === true)
      add(mask, 0, fallback.mask)
    return { ...properties, mask, isMatched, verdicts, fallback: fallbackVerdict, messages: 0 }
  }

  /** Counts what was decided by properties, once for all messages that have them. */
  #settle(count: number, tally: RouteTally): void {
    const { always, bySuffix, byMessage, fallback } = this.#rules
    for (const index of always) tally.count(index, true, count)
    const countsFallback = byMessage.length === 0 && fallback?.isBySuffix === true
    for (const known of this.#met) {
      for (const [order, { index }] of bySuffix.entries()) tally.count(index, known.verdicts[order], known.messages)
      if (countsFallback && !known.isMatched) tally.count(fallback.index, known.fallback, known.messages)
    }
    for (const [order, { index }] of byMessage.entries())
      tally.count(index, undefined, this.#undefinedCounts[order] as number)
    this.#forget()
  }

  /** What was counted of the current block; also of one that turned out to be corrupt half-way. */
  #forget(): void {
    for (const known of this.#met) known.messages = 0
    this.#met = []
    this.#undefinedCounts.fill(0)
  }
}

function add(masks: Uint32Array, at: number, mask: Uint32Array): void {
  for (let word = 0; word < mask.length; word++)
    masks[at + word] = (masks[at + word] as number) | (mask[word] as number)
}

function miscounted(count: number): PenstockError {
  return new PenstockError('BATCH_CORRUPT', `a block does not hold the ${count} messages that it says`)
}
