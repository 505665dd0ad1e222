/** What every routing store does. `open` gives two handles on one store, as a control role and a router have it. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { ReplayDocument } from '#schemas/routing/replay.ts'
import { emptyRouting, type RoutingDocument } from '#schemas/routing/routing.ts'
import type { RouterReport, RoutingStore } from './routes.ts'

export interface OpenStores {
  readonly control: RoutingStore
  readonly router: RoutingStore
  close(): Promise<void>
}

const document = (name: string): RoutingDocument => ({
  ...emptyRouting,
  routes: [{ name, source: 'DeviceMessages', condition: 'true', endpointNames: ['events'], isEnabled: true }],
})

export function routingStoreConformance(name: string, open: () => Promise<OpenStores>): void {
  describe(`routing store: ${name}`, () => {
    let stores: OpenStores

    beforeEach(async () => {
      stores = await open()
    })

    afterEach(() => stores.close())

    test('begins empty at revision 0', async () => {
      expect(await stores.router.read()).toMatchObject({ revision: 0, document: emptyRouting })
    })

    test('a document that is written is read by others, one revision higher', async () => {
      const first = await stores.control.write(document('one'), undefined)
      expect(first.revision).toBe(1)
      await stores.control.write(document('two'), 1)
      const read = await stores.router.read()
      expect(read.revision).toBe(2)
      expect(read.document).toEqual(document('two'))
    })

    test('a document made from another revision is refused, and nothing changes', async () => {
      await stores.control.write(document('one'), 0)
      await expect(stores.control.write(document('two'), 0)).rejects.toMatchObject({ code: 'ROUTING_ETAG_STALE' })
      const read = await stores.router.read()
      expect(read.revision).toBe(1)
      expect(read.document).toEqual(document('one'))
    })

    test('a router hears of a change, and no more once it stopped listening', async () => {
      const heard = vi.fn()
      const stop = stores.router.onChange(heard)
      await stores.control.write(document('one'), undefined)
      await expect.poll(() => heard.mock.calls.length).toBeGreaterThan(0)
      stop()
      const calls = heard.mock.calls.length
      await stores.control.write(document('two'), undefined)
      const again = vi.fn()
      const stopAgain = stores.router.onChange(again)
      await stores.control.write(document('three'), undefined)
      await expect.poll(() => again.mock.calls.length).toBeGreaterThan(0)
      stopAgain()
      expect(heard).toHaveBeenCalledTimes(calls)
    })

    test('a replay is there until it ended once, and then as what it ended', async () => {
      const replay = (id: string, begunAtMs: number): ReplayDocument => ({
        id,
        endpoint: 'e',
        generation: 3,
        revision: 3,
        begunAtMs,
        fromMs: 0,
        toMs: begunAtMs,
        where: 'true',
        deviceId: undefined,
        messagesPerSecondMax: 10,
      })
      await stores.control.addReplay(replay('b', 1))
      await stores.control.addReplay(replay('a', 2))
      expect(await stores.router.replays()).toEqual([
        { replay: replay('b', 1), ended: undefined },
        { replay: replay('a', 2), ended: undefined },
      ])
      expect(await stores.router.endReplay('b', 'done')).toBe(true)
      expect(await stores.control.endReplay('b', 'cancelled')).toBe(false)
      expect(await stores.control.endReplay('c', 'cancelled')).toBe(false)
      const kept = await stores.control.replays()
      expect(kept.map(({ replay: { id }, ended }) => [id, ended?.as])).toEqual([
        ['b', 'done'],
        ['a', undefined],
      ])
    })

    test('the last report of each router is kept', async () => {
      const report = (router: string, revision: number): RouterReport => ({
        router,
        atMs: Date.now(),
        revision,
        endpoints: [],
      })
      await stores.router.report(report('a/../b', 1))
      await stores.router.report(report('c', 1))
      await stores.router.report(report('a/../b', 2))
      const reports = await stores.control.reports()
      expect(reports.map(({ router, revision }) => [router, revision]).sort()).toEqual([
        ['a/../b', 2],
        ['c', 1],
      ])
    })
  })
}
