import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { limits } from '#schemas/limits.ts'
import { type EndpointDocument, emptyRouting } from '#schemas/routing/routing.ts'
import { FileRoutingStore } from './file-routing-store.ts'
import { ReplayService } from './replay-service.ts'

const nowMs = Date.parse('2026-03-01T00:00:00Z')
const clock = { nowMs: () => nowMs, monotonicMs: () => 0, after: () => () => {} }
const endpoint = (name: string): EndpointDocument => ({
  name,
  kind: 'webhook',
  from: 'now',
  generation: 1,
  startsAtMs: 0,
  whenBehind: 'expire',
  isEnabled: true,
  settings: {},
})

describe('replays of the log', () => {
  let folder: string
  let store: FileRoutingStore
  let replays: ReplayService

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'penstock-replays-'))
    store = new FileRoutingStore(folder, clock)
    replays = new ReplayService(store, clock)
    await store.write(
      {
        ...emptyRouting,
        routes: [
          {
            name: 'r',
            source: 'DeviceMessages',
            condition: "level = 'high'",
            endpointNames: ['hook'],
            isEnabled: true,
          },
        ],
        endpoints: [endpoint('hook'), endpoint('unused')],
      },
      undefined,
    )
  })

  afterEach(async () => {
    await store.close()
    rmSync(folder, { recursive: true })
  })

  test('one is begun, shown as far as routers say it is, and cancelled', async () => {
    const { id } = await replays.begin({ endpoint: 'hook', from: '2026-02-28T00:00:00Z', deviceId: 'd' })
    const shown = {
      id,
      endpoint: 'hook',
      from: '2026-02-28T00:00:00.000Z',
      to: '2026-03-01T00:00:00.000Z',
      deviceId: 'd',
    }
    expect(await replays.list()).toMatchObject([{ ...shown, state: 'waiting' }])
    const report = (router: string, recordsDone: number, fault?: string) => ({
      router,
      atMs: nowMs,
      revision: 1,
      endpoints: [],
      replays: [{ id, records: 10, recordsDone, messagesDelivered: 3, fault }],
    })
    await store.report(report('a', 4))
    await store.report(report('b', 5, 'no connection'))
    const progress = { records: 10, recordsDone: 5, messagesDelivered: 6, fault: 'no connection' }
    expect(await replays.list()).toMatchObject([{ ...shown, state: 'running', progress }])
    await replays.cancel(id)
    expect(await replays.list()).toMatchObject([{ id, state: 'cancelled', endedAt: '2026-03-01T00:00:00.000Z' }])
    await expect(replays.cancel(id)).rejects.toMatchObject({ code: 'ROUTING_REPLAY_UNKNOWN' })
    await expect(replays.cancel('../document')).rejects.toMatchObject({ code: 'ROUTING_REPLAY_UNKNOWN' })
  })

  test.each<[object, string, RegExp]>([
    [{ endpoint: 'nowhere' }, 'ROUTING_ENDPOINT_UNKNOWN', /nowhere/],
    [{ endpoint: 'unused' }, 'ROUTING_INVALID', /no enabled route leads to unused/],
    [{ endpoint: 'hook', where: 'level >' }, 'ROUTING_INVALID', /^where: /],
    [{ endpoint: 'hook', where: `level = '${'x'.repeat(4_070)}'` }, 'ROUTING_INVALID', /^where: with the route r: /],
    [{ endpoint: 'hook', from: 'now' }, 'ROUTING_INVALID', /^to: must be later than from/],
    [{ endpoint: 'hook', from: 'yesterday' }, 'ROUTING_INVALID', /^from: allowed is/],
    [{ endpoint: 'hook', to: '2026-03-02T00:00:00Z' }, 'ROUTING_INVALID', /^to: lies in the future/],
    [{ endpoint: 'hook', messagesPerSecondMax: 0 }, 'ROUTING_INVALID', /^messagesPerSecondMax: /],
    [{ endpoint: 'hook', speed: 1 }, 'ROUTING_INVALID', /^speed: is not known here/],
  ])('what cannot be replayed is refused: %j', async (json, code, message) => {
    await expect(replays.begin(json)).rejects.toMatchObject({ code, message: expect.stringMatching(message) })
    expect(await replays.list()).toEqual([])
  })

  test('not more go on at once than may', async () => {
    for (let count = 0; count < limits.replaysMax; count++) await replays.begin({ endpoint: 'hook' })
    await expect(replays.begin({ endpoint: 'hook' })).rejects.toMatchObject({ code: 'ROUTING_INVALID' })
  })
})
