import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type AzuriteForTests, azuriteMissing, startAzurite } from '#infra/testbed/azurite.ts'
import { serverFor } from '#infra/testbed/require-server.ts'
import { type SwitchedProxy, startSwitchedProxy } from '#infra/testbed/switched-proxy.ts'
import { tableSinkConformance } from '#pipeline/endpoints/table-sink.conformance.ts'
import { systemClock } from '#runtime/clock.ts'
import type { AzureBlobSettings } from '#schemas/endpoint-kinds/azure-blob.ts'
import type { ObjectEncoding } from '#schemas/endpoint-kinds/object-fields.ts'
import { contentsOf, objectSink } from '../objects/object-sink-fixture.ts'
import { AzureBlobStore } from './azure-blob-store.ts'
import { azureSettings, TestContainer } from './container-fixture.ts'

const rules = { ownPorts: [], allowed: [] }
const never = new AbortController().signal
const mebibyte = 1024 * 1024
const azurite = serverFor('Azurite', azuriteMissing)

describe.skipIf(azurite.skip)(`a container of Azurite ${azurite.note}`, () => {
  let server: AzuriteForTests
  let proxy: SwitchedProxy
  let container: TestContainer
  let containerCount = 0

  const start = async () => {
    server = await startAzurite()
    proxy = await startSwitchedProxy(Number(new URL(server.url).port))
  }
  const stop = async () => {
    await proxy?.stop()
    await server?.stop()
  }
  const clear = async () => {
    container = new TestContainer(server, `telemetry-${containerCount++}`)
    await container.create()
  }
  const store = (more: Partial<AzureBlobSettings> = {}) => {
    const endpoint = `http://127.0.0.1:${proxy.port}/${server.account}`
    const settings = azureSettings(server, { endpoint, container: container.name, ...more })
    return new AzureBlobStore({ settings, rules, clock: systemClock, partBytes: mebibyte })
  }

  for (const encoding of ['avro', 'json'] satisfies ObjectEncoding[]) {
    tableSinkConformance(`Azure Blob Storage (${encoding})`, {
      start,
      stop,
      clear,
      open: async () => objectSink(store(), { encoding }),
      contents: async () => await contentsOf(await container.objects(), encoding),
      badBody: undefined,
      away: async () => {
        proxy.cut()
        return async () => proxy.mend()
      },
      openWithoutRight: async () => {
        await container.remove()
        return { sink: objectSink(store(), { encoding }), mend: () => container.create() }
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
      await to.put('hub/0/long.json', mebibytes(4, 'a'), never)
      await to.put('hub/0/long.json', mebibytes(3, 'b'), never)
      const objects = await container.objects()
      expect(objects.get('hub/0/long.json')?.equals(Buffer.alloc(4 * mebibyte, 'a'))).toBe(true)
      await to.close()
    })

    test('what ends on its way leaves no object, and the next attempt stores it', async () => {
      async function* broken(): AsyncGenerator<Buffer> {
        yield* mebibytes(3, 'a')
        throw new Error('the log is gone')
      }
      const to = store()
      await expect(to.put('hub/0/long.json', broken(), never)).rejects.toThrow('the log is gone')
      expect(await container.objects()).toEqual(new Map())
      expect(await to.has('hub/0/long.json')).toBe(false)
      await to.put('hub/0/long.json', mebibytes(2, 'b'), never)
      expect((await container.objects()).get('hub/0/long.json')?.equals(Buffer.alloc(2 * mebibyte, 'b'))).toBe(true)
      await to.close()
    })

    test('a shared access signature does instead of the key, with the rights it needs', async () => {
      const to = store({ accountKey: undefined, sasToken: await container.sasToken('rcwl') })
      await to.put('hub/0/a.json', mebibytes(1, 'a'), never)
      await to.put('hub/0/long.json', mebibytes(3, 'a'), never)
      expect(await to.has('hub/0/a.json')).toBe(true)
      expect(await to.accepts()).toBe(true)
      expect((await container.objects()).size).toBe(2)
      await to.close()
    })

    test.each([
      ['a wrong key', { accountKey: Buffer.alloc(64, 9).toString('base64') }, 'Unauthorized', 'AuthorizationFailure'],
      ['no right to write', 'reader', 'Unauthorized', 'AuthorizationPermissionMismatch'],
      ['no container', { container: 'not-there' }, 'NotFound', 'ContainerNotFound'],
    ] as const)('%s holds', async (_what, settings, failure, said) => {
      const sas = settings === 'reader' ? await container.sasToken('rl') : ''
      const to = store(settings === 'reader' ? { accountKey: undefined, sasToken: sas } : settings)
      const fault: unknown = await to.put('hub/a.json', mebibytes(1, 'a'), never).catch((error: unknown) => error)
      expect(fault).toMatchObject({ code: 'ENDPOINT_HELD', failure, message: expect.stringContaining(said) })
      expect(await to.accepts()).toBe(settings === 'reader')
      await to.close()
    })
  })
})
