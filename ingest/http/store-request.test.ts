import { describe, expect, test } from 'vitest'
import { edgeFixture } from '#ingest/edge-fixture.ts'
import { unlimitedQuotas } from '#ingest/quotas/quota-settings.ts'
import { PenstockError } from '#schemas/errors.ts'
import { type RequestReading, storeRequest } from './store-request.ts'

const answer = { status: 204 }

describe('requests that store nothing', () => {
  test.each<[string, () => RequestReading]>([
    [
      'that cannot be read',
      () => {
        throw new PenstockError('INGEST_BODY_MALFORMED', 'no')
      },
    ],
    ['without a message', () => ({ messages: [], bodyBytes: 0, answer })],
  ])('%s count as one message each, and are not even read while too much is owed [G-4]', async (_, read) => {
    const quotas = { ...unlimitedQuotas, device: { ...unlimitedQuotas.device, messagesPerSecond: 1 } }
    const { edge } = edgeFixture({ quotas })
    let reads = 0
    const send = async () =>
      storeRequest(edge, { deviceId: 'd', moduleId: undefined }, () => {
        reads++
        return read()
      })
    const codes: unknown[] = []
    for (let request = 0; request < 10; request++)
      codes.push(await send().catch((error: unknown) => (error as PenstockError).code))
    expect(codes.slice(-5)).toEqual(Array(5).fill('INGEST_RATE_EXCEEDED'))
    expect(reads).toBeLessThan(6)
  })
})
