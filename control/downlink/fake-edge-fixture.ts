import type { CallOutcome, DeviceCall, Notice } from '#schemas/downlink.ts'
import { type IdentityId, identityText } from '#schemas/identity-id.ts'
import type { EdgeDownlink } from './downlink.ts'

/** For tests: an edge process whose devices answer at once. */
export class FakeEdge implements EdgeDownlink {
  readonly held = new Set<string>()
  readonly called: string[] = []
  readonly told: string[] = []
  /** What becomes of a call to a device that is here. */
  outcome: (left?: AbortSignal, waitMs?: number) => Promise<CallOutcome> = async () => ({
    kind: 'answered',
    status: 200,
    payload: 'null',
  })

  constructor(...held: readonly string[]) {
    for (const id of held) this.held.add(id)
  }

  async call(id: IdentityId, _call: DeviceCall, waitMs: number, left?: AbortSignal): Promise<CallOutcome> {
    if (!this.held.has(identityText(id))) return { kind: 'notHere' }
    this.called.push(identityText(id))
    return this.outcome(left, waitMs)
  }

  holds(ids: readonly IdentityId[]): readonly boolean[] {
    return ids.map((id) => this.held.has(identityText(id)))
  }

  tell(ids: readonly IdentityId[], notice: Notice): readonly IdentityId[] {
    const here = ids.filter((id) => this.held.has(identityText(id)))
    for (const id of here) this.told.push(`${identityText(id)} ${notice.kind}`)
    return ids.filter((id) => !here.includes(id))
  }
}
