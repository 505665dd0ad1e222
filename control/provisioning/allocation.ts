/** Which hub a device gets, as far as that is decided here. */
import { createHash } from 'node:crypto'
import { type Enrolment, idKey } from './enrolment.ts'
import type { Registration } from './registration.ts'

/** A hub that devices can be sent to. */
export interface Hub {
  readonly hostName: string
  /** Of all that have some, it gets this part of the devices; 0: none, but by name. */
  readonly weight: number
}

export interface LinkedHub extends Hub {
  /** A policy of that hub that may read and write its registry, and twins, with its key. Empty: it is this hub. */
  readonly policyName: string
  readonly key: string
}

/** Why a device gets no hub, in the numbers that its clients know. */
export const noHub = { code: 400_208, message: 'no linked hub is left to choose from' } as const
export const badChoice = { code: 400_209, message: 'the custom allocation chose no linked hub' } as const

/**
 *   stays     with the hub that it has
 *   hub       gets this one
 *   webhook   somebody else chooses
 *   none      there is none to choose
 */
export type Choice =
  | { readonly kind: 'stays' | 'hub'; readonly hostName: string }
  | { readonly kind: 'webhook' }
  | { readonly kind: 'none' }

/** @param before what the device has; `undefined`: nothing yet */
export function chosen(
  enrolment: Enrolment,
  registrationId: string,
  before: Registration | undefined,
  hubs: readonly Hub[],
): Choice {
  const { allocation, reprovisioning } = enrolment
  const has = before?.hub === undefined ? undefined : hubs.find(({ hostName }) => hostName === before.hub)
  if (has !== undefined && !reprovisioning.updateHubAssignment) return { kind: 'stays', hostName: has.hostName }
  if (allocation.policy === 'custom') return { kind: 'webhook' }
  const candidates = candidatesOf(enrolment, hubs)
  // Latency is nothing that is measured here: the hubs that are meant for it are shared out as by their hash.
  const hub = allocation.policy === 'static' ? candidates[0] : hashed(idKey(registrationId), candidates)
  return hub === undefined ? { kind: 'none' } : { kind: 'hub', hostName: hub.hostName }
}

/** Of those that the enrolment names, in their order, or all, those that there are. */
export function candidatesOf({ allocation }: Enrolment, hubs: readonly Hub[]): readonly Hub[] {
  if (allocation.hubs.length === 0) return hubs
  return allocation.hubs
    .map((name) => hubs.find(({ hostName }) => hostName === name))
    .filter((hub) => hub !== undefined)
}

/**
 * Weighted rendezvous: every hub draws a number from its name and the device's, and the highest wins. A hub that is added or removed
 * moves only the devices that it gets or had. Who has a weight of 0 is chosen where nobody has more.
 */
function hashed(key: string, hubs: readonly Hub[]): Hub | undefined {
  let best: Hub | undefined
  let highest = Number.NEGATIVE_INFINITY
  for (const hub of hubs) {
    const digest = createHash('sha256').update(`${hub.hostName}\n${key}`).digest()
    const drawn = (digest.readUIntBE(0, 6) + 1) / 2 ** 48
    const score = hub.weight === 0 ? Number.NEGATIVE_INFINITY : hub.weight / -Math.log(Math.min(drawn, 1 - 2 ** -48))
    if (best === undefined || score > highest) [best, highest] = [hub, score]
  }
  return best
}
