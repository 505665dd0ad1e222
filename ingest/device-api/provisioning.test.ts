import { describe, expect, test } from 'vitest'
import type { ProvisioningAnswer, ProvisioningRequest } from '#control/provisioning/provisioning.ts'
import type { EdgeContext } from '#ingest/session/edge-context.ts'
import { silentLogger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import { type VirtualClock, virtualClock } from '#runtime/virtual-clock.ts'
import { limits } from '#schemas/limits.ts'
import { metricsTable } from '#schemas/metrics.ts'
import { Provisioning } from './provisioning.ts'

const begun: ProvisioningAnswer = { status: 202, body: '{}', retryAfterSeconds: 1 }

/** A control role that answers when it is told to. */
class SlowRegistrar {
  readonly waiting: (() => void)[] = []

  provision(_request: ProvisioningRequest): Promise<ProvisioningAnswer> {
    return new Promise((resolve) => this.waiting.push(() => resolve(begun)))
  }
}

function opened(perSecond = 0) {
  const clock = virtualClock()
  const registrar = new SlowRegistrar()
  const edge = { clock, logger: silentLogger, metrics: new Metrics(metricsTable) } as unknown as EdgeContext
  return { clock, registrar, provisioning: new Provisioning(edge, { idScope: '0ne', registrar, perSecond }) }
}

function advance(clock: VirtualClock, ms: number): void {
  clock.after(ms, () => {})
  for (const untilMs = clock.nowMs() + ms; clock.step(untilMs); );
}

const registrant = (registrationId: string) => ({ registrationId, token: 't', certificates: [] })

describe('a storm of registrations', () => {
  test('is absorbed: what is under way is bounded, the others get turns of their own, and none is lost', async () => {
    const { clock, registrar, provisioning } = opened()
    const count = 20_000
    let registered = 0
    let tries = 0
    /** As SDKs do: whoever is told to come back does, then. */
    const device = async (index: number): Promise<void> => {
      for (;;) {
        tries++
        const answer = await provisioning.register(registrant(`d-${index}`), Buffer.from('{}'))
        if (answer.status === 202) break
        expect(answer.status).toBe(429)
        expect(answer.retryAfterSeconds).toBeGreaterThan(0)
        await new Promise<void>((resolve) => clock.after((answer.retryAfterSeconds ?? 0) * 1_000, resolve))
      }
      registered++
    }
    const all = Promise.all(Array.from({ length: count }, (_, index) => device(index)))
    /** A control role that serves 1,000 a second. */
    for (let tenths = 0; registered < count && tenths < 10_000; tenths++) {
      for (const answer of registrar.waiting.splice(0, 100)) answer()
      expect(registrar.waiting.length).toBeLessThanOrEqual(limits.registrationsUnderWayMax)
      advance(clock, 100)
      await new Promise((resolve) => setImmediate(resolve))
    }
    await all
    expect(registered).toBe(count)
    // Most come back once: turns are given as fast as they are served.
    expect(tries).toBeLessThan(4 * count)
  })

  test('a quota of registrations a second is kept', async () => {
    const { clock, registrar, provisioning } = opened(2)
    const answers = [1, 2, 3].map((n) => provisioning.register(registrant(`d-${n}`), Buffer.from('')))
    for (const answer of registrar.waiting.splice(0)) answer()
    expect((await Promise.all(answers)).map(({ status }) => status)).toEqual([202, 202, 429])
    advance(clock, 1_000)
    const later = provisioning.register(registrant('d-3'), Buffer.from(''))
    for (const answer of registrar.waiting.splice(0)) answer()
    expect((await later).status).toBe(202)
  })

  test('a device that asks too often what became of it is told when to come back; who proves nothing takes no turn of it', async () => {
    const { clock, registrar, provisioning } = opened()
    let answer: ProvisioningAnswer = { status: 401, body: '{}', retryAfterSeconds: undefined }
    registrar.provision = async () => answer
    const polls = (count: number) =>
      Promise.all(Array.from({ length: count }, () => provisioning.status(registrant('d'), '5.1')))
    await polls(2 * limits.registrationPollsMax)
    // Nobody looks at a proof while the store is away.
    answer = { status: 503, body: '{}', retryAfterSeconds: 1 }
    await polls(2 * limits.registrationPollsMax)
    answer = begun
    for (let poll = 0; poll < limits.registrationPollsMax; poll++) expect((await polls(1))[0]?.status).toBe(202)
    const [refused] = await polls(1)
    expect([refused?.status, (await provisioning.status(registrant('D'), '5.1')).status]).toEqual([429, 429])
    expect((await provisioning.status(registrant('other'), '5.1')).status).toBe(202)
    advance(clock, (refused?.retryAfterSeconds ?? 0) * 1_000)
    expect((await polls(1))[0]?.status).toBe(202)
  })

  test('a device that asks many times at once asks many times; others, and who proves nothing in its name, take no turn of it', async () => {
    const { registrar, provisioning } = opened()
    const many = 3 * limits.registrationPollsMax
    registrar.provision = ({ token }) =>
      new Promise((resolve) => registrar.waiting.push(() => resolve(token === 't' ? begun : { ...begun, status: 401 })))
    const ask = (token: string, id = 'd') => provisioning.status({ ...registrant(id), token }, '5.1')
    const asked = Array.from({ length: many }, () => ask('t'))
    const strangers = Array.from({ length: many }, (_, index) => ask(`guessed-${index}`))
    const other = ask('t', 'other')
    expect(registrar.waiting).toHaveLength(limits.registrationPollsMax + many + 1)
    for (const answer of registrar.waiting.splice(0)) answer()
    const statuses = (await Promise.all(asked)).map(({ status }) => status)
    expect(statuses.filter((status) => status === 202)).toHaveLength(limits.registrationPollsMax)
    expect(new Set(statuses)).toEqual(new Set([202, 429]))
    expect([(await other).status, (await Promise.all(strangers)).length]).toEqual([202, many])
    expect((await ask('t')).status).toBe(429)
  })

  test.each([
    ['no JSON', '{'],
    ['no object', '[]'],
    ['another registration id', '{"registrationId":"other"}'],
    ['too long', `{"payload":"${'x'.repeat(limits.registrationBytesMax)}"}`],
  ])('a registration that is %s is refused, and asks nobody', async (_what, body) => {
    const { registrar, provisioning } = opened()
    expect((await provisioning.register(registrant('d'), Buffer.from(body))).status).toBe(400)
    expect(registrar.waiting).toEqual([])
  })
})
