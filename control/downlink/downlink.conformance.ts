/** What the downlink does, whichever way edge processes are linked to control. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { systemClock } from '#runtime/clock.ts'
import type { MethodCall } from '#schemas/downlink.ts'
import type { IdentityId } from '#schemas/identity-id.ts'
import { limits } from '#schemas/limits.ts'
import { EdgeFinder } from './edge-finder.ts'
import { FakeEdge } from './fake-edge-fixture.ts'
import { LinkedDownlink } from './linked-downlink.ts'

const method: MethodCall = { kind: 'method', name: 'blink', payload: '{"é":1}', responseMs: 5_000 }
const id: IdentityId = { deviceId: 'd1', moduleId: undefined }
const moduleId: IdentityId = { deviceId: 'd1', moduleId: 'm1' }
const answered = { kind: 'answered', status: 200, payload: 'null' }

/** Control and edges of one adapter. */
export interface DownlinkSetUp {
  /** Links an edge process to control. @returns ends the process */
  link(edgeId: string, edge: FakeEdge): Promise<() => Promise<void>>
  close(): Promise<void>
}

export function downlinkConformance(name: string, setUp: (finder: EdgeFinder) => Promise<DownlinkSetUp>): void {
  describe(`the downlink over ${name}`, () => {
    let finder: EdgeFinder
    let downlink: LinkedDownlink
    let set: DownlinkSetUp

    beforeEach(async () => {
      finder = new EdgeFinder(systemClock)
      downlink = new LinkedDownlink(finder, systemClock)
      set = await setUp(finder)
    })
    afterEach(async () => {
      await finder.close()
      await set.close()
    })

    const linked = (count: number) =>
      expect.poll(() => finder.links.length, { timeout: 30_000, interval: 5 }).toBe(count)

    async function edges(...all: readonly FakeEdge[]): Promise<(() => Promise<void>)[]> {
      const ends: (() => Promise<void>)[] = []
      for (const [index, edge] of all.entries()) ends.push(await set.link(`edge-${index}`, edge))
      await linked(all.length)
      return ends
    }

    test('a device is called where it is, without a hint or with a wrong one, and a module is not its device', async () => {
      const [one, two] = [new FakeEdge(), new FakeEdge('d1')]
      await edges(one, two)
      expect(await downlink.call(id, method, 0)).toEqual(answered)
      finder.learned('edge-0', [id])
      expect(await downlink.call(id, method, 0)).toEqual(answered)
      finder.learned('edge-that-is-gone', [id])
      expect(await downlink.call(id, method, 0)).toEqual(answered)
      expect([one.called, two.called]).toEqual([[], ['d1', 'd1', 'd1']])
      expect(await downlink.call(moduleId, method, 0)).toEqual({ kind: 'notHere' })
    })

    test('a device that is nowhere is waited for, whether its connection is announced or not', async () => {
      const [one, two] = [new FakeEdge(), new FakeEdge()]
      await edges(one, two)
      const announced = downlink.call(id, method, 10_000)
      await expect.poll(() => finder.waitingCount).toBe(1)
      two.held.add('d1')
      finder.learned('edge-1', [id])
      expect(await announced).toEqual(answered)
      const silent = downlink.call(moduleId, method, 10_000)
      await expect.poll(() => finder.waitingCount).toBe(1)
      one.held.add('d1/m1')
      expect(await silent).toEqual(answered)
      expect([one.called, two.called]).toEqual([['d1/m1'], ['d1']])
    })

    test('a bounded number of calls wait for their devices; those beyond are told so, and called nowhere', async () => {
      const one = new FakeEdge()
      await edges(one)
      const nowhere = { deviceId: 'nowhere', moduleId: undefined }
      const waitMs = 60_000
      const waiting = Array.from({ length: limits.methodsWaitingMax }, () => downlink.call(nowhere, method, waitMs))
      await expect.poll(() => finder.waitingCount).toBe(limits.methodsWaitingMax)
      expect(await downlink.call({ deviceId: 'another', moduleId: undefined }, method, waitMs)).toEqual({
        kind: 'busy',
      })
      one.held.add('nowhere')
      finder.learned('edge-0', [nowhere])
      expect(new Set((await Promise.all(waiting)).map(({ kind }) => kind))).toEqual(new Set(['answered']))
      expect(one.called).not.toContain('another')
    })

    test('what one edge no longer has is called at the one that has it now; what may have been called is not called again [G-9]', async () => {
      const [one, two] = [new FakeEdge('d1'), new FakeEdge()]
      await edges(one, two)
      finder.learned('edge-0', [id])
      one.outcome = async () => {
        one.held.delete('d1')
        two.held.add('d1')
        return { kind: 'gone' }
      }
      expect(await downlink.call(id, method, 1_000)).toEqual(answered)
      for (const kind of ['lost', 'noAnswer', 'badAnswer', 'busy', 'tooLarge', 'notSubscribed'] as const) {
        two.outcome = async () => ({ kind })
        expect(await downlink.call(id, method, 0)).toEqual({ kind })
      }
      expect([one.called.length, two.called.length]).toEqual([1, 7])
    })

    test('an edge that dies with a call under way has it called nowhere else, and is forgotten [G-9]', async () => {
      const [one, two] = [new FakeEdge('d1'), new FakeEdge()]
      const [endOne] = await edges(one, two)
      let isCalled = (): void => {}
      const reached = new Promise<void>((resolve) => (isCalled = resolve))
      one.outcome = () => {
        isCalled()
        return new Promise(() => {})
      }
      const call = downlink.call(id, { ...method, responseMs: 50 }, 0)
      await reached
      two.held.add('d1')
      await endOne?.()
      expect(await call).toEqual({ kind: 'noAnswer' })
      await linked(1)
      expect(two.called).toEqual([])
      expect(await downlink.call(id, method, 0)).toEqual(answered)
    })

    test('notices reach whoever holds the device, also after it moved, and nobody else', async () => {
      const [one, two] = [new FakeEdge('d1'), new FakeEdge('d1/m1')]
      await edges(one, two)
      finder.learned('edge-0', [id, moduleId])
      downlink.tell([id, moduleId, { deviceId: 'away', moduleId: undefined }], { kind: 'commands' })
      await expect.poll(() => [one.told, two.told]).toEqual([['d1 commands'], ['d1/m1 commands']])
      expect(finder.hinted(moduleId)?.edgeId).toBe('edge-1')
      downlink.tell([moduleId], { kind: 'desired', version: 3, patch: '{"a":1}' })
      await expect.poll(() => two.told.length).toBe(2)
    })

    test('whoever leaves while a device is waited for calls it no more; what was sent stays sent [G-9]', async () => {
      const one = new FakeEdge()
      await edges(one)
      const left = new AbortController()
      const away = downlink.call(id, method, 60_000, left.signal)
      await expect.poll(() => finder.waitingCount).toBe(1)
      left.abort()
      expect(await away).toEqual({ kind: 'notHere' })
      expect(finder.waitingCount).toBe(0)
      one.held.add('d1')
      expect(await downlink.call(id, method, 60_000, left.signal)).toEqual(answered)
      // It is here, and does not listen: its edge is asked once, and told.
      const leaving = new AbortController()
      one.outcome = (told) =>
        new Promise((resolve) => {
          told?.addEventListener('abort', () => resolve({ kind: 'notSubscribed' }))
          leaving.abort()
        })
      expect(await downlink.call(id, method, 60_000, leaving.signal)).toEqual({ kind: 'notSubscribed' })
      expect(one.called.length).toBe(2)
    })

    test('an edge that comes later is asked as well', async () => {
      await edges(new FakeEdge())
      const call = downlink.call(id, method, 10_000)
      await expect.poll(() => finder.waitingCount).toBe(1)
      await set.link('edge-late', new FakeEdge('d1'))
      expect(await call).toEqual(answered)
    })
  })
}
