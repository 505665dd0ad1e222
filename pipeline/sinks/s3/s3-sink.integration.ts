import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { serverFor } from '#infra/testbed/require-server.ts'
import { type SeaweedForTests, seaweedMissing, startSeaweed } from '#infra/testbed/seaweedfs.ts'
import { type SwitchedProxy, startSwitchedProxy } from '#infra/testbed/switched-proxy.ts'
import { tableSinkConformance } from '#pipeline/endpoints/table-sink.conformance.ts'
import { systemClock } from '#runtime/clock.ts'
import type { ObjectEncoding } from '#schemas/endpoint-kinds/object-fields.ts'
import type { S3Settings } from '#schemas/endpoint-kinds/s3.ts'
import { contentsOf, nameAt, objectSink } from '../objects/object-sink-fixture.ts'
import { s3Settings, TestBucket } from './bucket-fixture.ts'
import { S3Store } from './s3-store.ts'

const rules = { ownPorts: [], allowed: [] }
const never = new AbortController().signal
const mebibyte = 1024 * 1024
const seaweed = serverFor('SeaweedFS', seaweedMissing)

describe.skipIf(seaweed.skip)(`a bucket of SeaweedFS ${seaweed.note}`, () => {
  let server: SeaweedForTests
  let proxy: SwitchedProxy
  let bucket: TestBucket
  let bucketCount = 0

  const start = async () => {
    server = await startSeaweed()
    proxy = await startSwitchedProxy(Number(new URL(server.url).port))
  }
  const stop = async () => {
    await proxy?.stop()
    await server?.stop()
  }
  const clear = async () => {
    bucket = new TestBucket(server, `telemetry-${bucketCount++}`)
    await bucket.create()
  }
  const store = (more: Partial<S3Settings> = {}, clock = systemClock) => {
    const endpoint = `http://127.0.0.1:${proxy.port}`
    const settings = s3Settings(server, { endpoint, bucket: bucket.name, ...more })
    return new S3Store({ settings, rules, clock, partBytes: 5 * mebibyte })
  }

  for (const encoding of ['json', 'avroDeflate', 'batches'] satisfies ObjectEncoding[]) {
    tableSinkConformance(`S3 (${encoding})`, {
      start,
      stop,
      clear,
      open: async () => objectSink(store(), { encoding }),
      contents: async () => await contentsOf(await bucket.objects(), encoding),
      badBody: undefined,
      away: async () => {
        proxy.cut()
        return async () => proxy.mend()
      },
      openWithoutRight: async () => {
        await bucket.remove()
        return { sink: objectSink(store(), { encoding }), mend: () => bucket.create() }
      },
      remembersForEver: false,
    })
  }

  describe('and what only a store of objects does', () => {
    beforeAll(start)
    afterAll(stop)
    beforeEach(clear)

    async function* mebibytes(count: number, fill: string): AsyncGenerator<Buffer> {
      for (let index = 0; index < count; index++) yield Buffer.alloc(mebibyte, fill)
    }

    test('an object longer than a part is sent in several, and the first one stays', async () => {
      const to = store()
      await to.put('hub/0/long.json', mebibytes(12, 'a'), never)
      await to.put('hub/0/long.json', mebibytes(11, 'b'), never)
      const objects = await bucket.objects()
      expect(objects.get('hub/0/long.json')?.equals(Buffer.alloc(12 * mebibyte, 'a'))).toBe(true)
      expect(await bucket.uploads()).toEqual([])
      await to.close()
    })

    test('of two that send a long object at once one is stored, and nothing is left of the other', async () => {
      const [one, other] = [store(), store()]
      const results = await Promise.allSettled([
        one.put('hub/0/long.json', mebibytes(6, 'a'), never),
        other.put('hub/0/long.json', mebibytes(6, 'b'), never),
      ])
      expect(results.some(({ status }) => status === 'fulfilled')).toBe(true)
      const content = (await bucket.objects()).get('hub/0/long.json')
      expect(['a', 'b'].some((fill) => content?.equals(Buffer.alloc(6 * mebibyte, fill)))).toBe(true)
      expect(await bucket.uploads()).toEqual([])
      await Promise.all([one.close(), other.close()])
    })

    test('what ends on its way leaves neither an object nor parts of one', async () => {
      async function* broken(): AsyncGenerator<Buffer> {
        yield* mebibytes(11, 'a')
        throw new Error('the log is gone')
      }
      const to = store()
      await expect(to.put('hub/0/long.json', broken(), never)).rejects.toThrow('the log is gone')
      expect(await bucket.objects()).toEqual(new Map())
      expect(await bucket.uploads()).toEqual([])
      await to.close()
    })

    test("what a process left behind that was killed is removed, and nobody else's", async () => {
      for (const name of [nameAt(5), 'hub/0/of-somebody-else']) await bucket.beginUpload(name)
      const to = store()
      await to.sweep('hub/', (name) => name === nameAt(5), 60_000)
      expect((await bucket.uploads()).sort()).toEqual([nameAt(5), 'hub/0/of-somebody-else'].sort())
      await to.sweep('hub/', (name) => name === nameAt(5), -60_000)
      expect(await bucket.uploads()).toEqual(['hub/0/of-somebody-else'])
      await to.close()
    })

    test('names are listed page by page', async () => {
      const to = store()
      const names = Array.from({ length: 1_010 }, (_, index) => nameAt(index))
      for (let from = 0; from < names.length; from += 50)
        await Promise.all(names.slice(from, from + 50).map((name) => to.put(name, mebibytes(0, ''), never)))
      const found: string[] = []
      for await (const name of to.list('hub/0/')) found.push(name)
      expect(found.sort()).toEqual(names.sort())
      await to.close()
    })

    test('a clock that is wrong is noticed, and the one of the store is followed', async () => {
      const to = store({}, { ...systemClock, nowMs: () => Date.now() - 7_200_000 })
      await expect(to.put('hub/a.json', mebibytes(1, 'a'), never)).rejects.toMatchObject({
        code: 'ENDPOINT_UNAVAILABLE',
      })
      await to.put('hub/a.json', mebibytes(1, 'a'), never)
      expect([...(await bucket.objects()).keys()]).toEqual(['hub/a.json'])
      await to.close()
    })

    test.each([
      ['a wrong key', { secretAccessKey: 'another' }, 'Unauthorized', 'SignatureDoesNotMatch'],
      ['no key', { accessKeyId: 'nobody' }, 'Unauthorized', 'InvalidAccessKeyId'],
      ['no right to write', 'reader', 'Unauthorized', 'AccessDenied'],
      ['no bucket', { bucket: 'not-there' }, 'NotFound', 'NoSuchBucket'],
    ] as const)('%s holds', async (_what, settings, failure, said) => {
      const to = store(settings === 'reader' ? server.reader : settings)
      const fault: unknown = await to.put('hub/a.json', mebibytes(1, 'a'), never).catch((error: unknown) => error)
      expect(fault).toMatchObject({ code: 'ENDPOINT_HELD', failure, message: expect.stringContaining(said) })
      expect(String(fault)).not.toContain(settings === 'reader' ? server.reader.secretAccessKey : 'another')
      expect(await to.accepts()).toBe(settings === 'reader')
      await to.close()
    })
  })
})
