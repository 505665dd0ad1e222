import { afterEach, expect, test } from 'vitest'
import { systemClock } from '#runtime/clock.ts'
import type { MethodCall } from '#schemas/downlink.ts'
import { limits } from '#schemas/limits.ts'
import { downlinkHandlers, linkOver } from './downlink-contract.ts'
import { EdgeFinder } from './edge-finder.ts'
import { FakeEdge } from './fake-edge-fixture.ts'
import { LinkedDownlink } from './linked-downlink.ts'

const method: MethodCall = { kind: 'method', name: 'blink', payload: 'null', responseMs: 5_000 }
const id = { deviceId: 'd1', moduleId: undefined }

let finder: EdgeFinder
afterEach(() => finder.close())

function linked(edge: FakeEdge): LinkedDownlink {
  finder = new EdgeFinder(systemClock)
  const { questions } = downlinkHandlers('edge', edge)
  const ask = async (name: keyof typeof questions, asked: never) => questions[name](asked)
  finder.add(linkOver('edge', { ask } as never))
  return new LinkedDownlink(finder, systemClock)
}

test('an edge is asked once to wait for a device to listen, and told when nobody waits any more', async () => {
  const edge = new FakeEdge('d1')
  const downlink = linked(edge)
  const leaving = new AbortController()
  edge.outcome = (left) =>
    new Promise((resolve) => {
      left?.addEventListener('abort', () => resolve({ kind: 'notSubscribed' }))
      leaving.abort()
    })
  expect(await downlink.call(id, method, 60_000, leaving.signal)).toEqual({ kind: 'notSubscribed' })
  expect(edge.called).toEqual(['d1'])
})

test('an edge does not wait for a device where whoever called has left by then', async () => {
  const edge = new FakeEdge('d1')
  const waits: (number | undefined)[] = []
  edge.outcome = async (_left, waitMs) => {
    waits.push(waitMs)
    return { kind: 'notSubscribed' }
  }
  expect(await linked(edge).call(id, method, 60_000, AbortSignal.abort())).toEqual({ kind: 'notSubscribed' })
  expect(waits).toEqual([0])
})

test('a call that waits is not refused half way because as many others wait by then', async () => {
  const edge = new FakeEdge()
  const downlink = linked(edge)
  const call = downlink.call(id, method, 60_000)
  await expect.poll(() => finder.waitingCount).toBe(1)
  const others: Promise<unknown>[] = []
  edge.outcome = async () => {
    edge.held.delete('d1')
    edge.outcome = async () => ({ kind: 'answered', status: 200, payload: '1' })
    const nowhere = { deviceId: 'nowhere', moduleId: undefined }
    for (let count = 0; count < limits.methodsWaitingMax; count++) others.push(downlink.call(nowhere, method, 60_000))
    await expect.poll(() => finder.waitingCount).toBe(limits.methodsWaitingMax)
    return { kind: 'gone' }
  }
  edge.held.add('d1')
  finder.learned('edge', [id])
  await expect.poll(() => finder.waitingCount).toBe(limits.methodsWaitingMax + 1)
  edge.held.add('d1').add('nowhere')
  finder.learned('edge', [id, { deviceId: 'nowhere', moduleId: undefined }])
  expect(await call).toEqual({ kind: 'answered', status: 200, payload: '1' })
  await Promise.all(others)
})

test('whether a device that is away is known is asked once, before it is waited for', async () => {
  const edge = new FakeEdge('d1')
  const downlink = linked(edge)
  let asked = 0
  const onAway = async (): Promise<void> => {
    asked++
    throw new Error('unknown')
  }
  expect(await downlink.call(id, method, 60_000, undefined, onAway)).toMatchObject({ kind: 'answered' })
  expect(asked).toBe(0)
  edge.held.clear()
  await expect(downlink.call(id, method, 0, undefined, onAway)).rejects.toThrow('unknown')
  await expect(downlink.call(id, method, 60_000, undefined, onAway)).rejects.toThrow('unknown')
  expect(asked).toBe(2)
})
