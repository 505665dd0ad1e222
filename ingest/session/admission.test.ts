import { expect, test } from 'vitest'
import { edgeFixture, FakeTransport } from '#ingest/edge-fixture.ts'
import { unlimitedQuotas } from '#ingest/quotas/quota-settings.ts'
import { limits } from '#schemas/limits.ts'
import { Admission } from './admission.ts'

test('where credentials fail too often a known device is let in at once, and who registers under its name waits', () => {
  const quotas = { ...unlimitedQuotas, failuresPerMinute: { address: 1, deviceAtAddress: 0 } }
  const { edge } = edgeFixture({ quotas, isKnown: () => true })
  const transport = new FakeTransport()
  const waitMsOf = (username: string): number =>
    new Admission(edge, transport, { clientId: 'd1', username, password: undefined, resumes: false }).waitMs()
  for (let failed = 0; failed < 2; failed++) edge.quotas.attemptFailed(transport.remoteAddress, 'other')
  const before = limits.failingLookupsPerSecond * 2
  for (let lookup = 0; lookup < before; lookup++)
    edge.quotas.lookupWaitMs(transport.remoteAddress, 'other', () => false)
  expect(waitMsOf('hub/d1/?api-version=2021-04-12')).toBe(0)
  expect(waitMsOf('0ne00000001/registrations/d1/api-version=2019-03-31')).toBeGreaterThan(0)
})
