import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { FileUploads } from '#ingest/device-api/file-uploads.ts'
import { edgeFixture } from '#ingest/edge-fixture.ts'
import { unlimitedQuotas } from '#ingest/quotas/quota-settings.ts'
import { MemoryBlobs } from '#pipeline/blobs/memory-blobs.ts'
import { ReadRequest } from '#runtime/http/request.ts'
import type { AnyRoute, HttpRouter } from '#runtime/http/serving.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { routeBlobs } from './blobs.ts'

const stranger = '203.0.113.9'

async function routed(tls: boolean) {
  const failuresPerMinute = { address: 3, deviceAtAddress: 3 }
  const { edge } = edgeFixture({ quotas: { ...unlimitedQuotas, failuresPerMinute } })
  const files = new FileUploads(edge, {
    store: new MemoryBlobs(),
    uploads: {
      uploadKey: async () => Buffer.alloc(32, 1),
      beginUpload: async () => randomUUID(),
      uploadName: async () => undefined,
      endUpload: async () => false,
    },
    host: () => 'hub',
    lifeMs: 60_000,
    fileBytesMax: 1_000,
    totalBytesMax: 1_000,
  })
  const routes: AnyRoute[] = []
  const router: HttpRouter = { route: (route) => void routes.push(route), upgrade: () => {} }
  routeBlobs(router, edge, files, undefined, tls)
  const { sasToken } = await files.begin('d', 'f')
  /** @returns the code that it is refused with; `undefined`: it is let in */
  const put = async (remoteAddress: string, query = sasToken): Promise<string | undefined> => {
    const head = { method: 'PUT', path: '/device-files/d/f', queryText: query.slice(1), headers: [] }
    const request = new ReadRequest(head as never, [], { remoteAddress, certificates: [] })
    try {
      await routes.find(({ method }) => method === 'PUT')?.admit?.(request)
      return undefined
    } catch (error) {
      return isPenstockError(error) ? error.code : String(error)
    }
  }
  return { files, put, sasToken }
}

describe('the address of a file', () => {
  test('leave is taken over TLS, or from this machine', async () => {
    for (const [tls, address, code] of [
      [true, stranger, undefined],
      [false, '127.0.0.1', undefined],
      [false, '::1', undefined],
      [false, stranger, 'INGEST_NOT_AUTHORIZED'],
    ] as const) {
      const { files, put } = await routed(tls)
      expect([tls, address, await put(address)]).toEqual([tls, address, code])
      await files.close()
    }
  })

  test('who guesses leave is told to come back, and who has it goes on', async () => {
    const { files, put, sasToken } = await routed(true)
    const guesses = Array.from({ length: 5 }, (_, index) =>
      put(stranger, sasToken.replace(/sig=..../, `sig=000${index}`)),
    )
    expect(await Promise.all(guesses)).toEqual([
      ...Array.from({ length: 3 }, () => 'INGEST_NOT_AUTHORIZED'),
      ...Array.from({ length: 2 }, () => 'INGEST_FAILURES_EXCEEDED'),
    ])
    expect(await put(stranger)).toBe(undefined)
    await files.close()
  })
})
