/** Routes that change: a revision selects some messages and writes its name into them. */
import { selectedFromMessages } from '#pipeline/endpoints/selected-messages.ts'
import type { SelectedMessage, UnfitMessage } from '#pipeline/endpoints/selected-range.ts'
import { envelopeBytes } from '#schemas/batch.ts'
import { everything, type RangeSelector } from '../range-selector.ts'

/** By the place of a message in its batch: every revision selects the first kind, even ones the second, none the third. The last of a long batch is too large. */
export type Fate = 'always' | 'sometimes' | 'never' | 'unfit'

export function fateOf(index: number): Fate {
  if (index === 8) return 'unfit'
  return (['always', 'sometimes', 'never'] as const)[index % 3] ?? 'never'
}

export class SimulatedRoutes implements RangeSelector {
  readonly selectsEverything = false
  #revision = 0
  /** How many revisions before the present one are still known. */
  readonly #knownMax: number

  constructor(knownMax: number) {
    this.#knownMax = knownMax
  }

  change(): void {
    this.#revision++
  }

  async select(...[range, records, asked]: Parameters<RangeSelector['select']>): ReturnType<RangeSelector['select']> {
    const known = asked !== undefined && this.#revision - Number(asked) <= this.#knownMax
    const revision = known ? Number(asked) : this.#revision
    const whole = await everything.select(range, records, undefined)
    const messages: SelectedMessage[] = []
    const unfit: UnfitMessage[] = []
    for await (const block of whole.messages())
      for (const message of block) {
        if (isSelected(message.index, revision)) messages.push(enriched(message, revision))
        if (fateOf(message.index) === 'unfit') unfit.push({ message, text: 'simulated: too large' })
      }
    return { ...selectedFromMessages(range, messages, String(revision)), unfit }
  }
}

function isSelected(index: number, revision: number): boolean {
  const fate = fateOf(index)
  return fate === 'always' || (fate === 'sometimes' && revision % 2 === 0)
}

function enriched(message: SelectedMessage, revision: number): SelectedMessage {
  const changed = { ...message, properties: { ...message.properties, revision: String(revision) } }
  const { deviceId, enqueuedAtMs, body, properties, systemProperties } = changed
  const bytes = envelopeBytes({ deviceId, enqueuedAtMs, body, properties, systemProperties })
  return { ...changed, byteCount: bytes.length, bytes }
}
