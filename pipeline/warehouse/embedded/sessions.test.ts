import { expect, it } from 'vitest'
import { virtualClock } from '#runtime/virtual-clock.ts'
import type { EngineConnection } from './engine.ts'
import { type SessionRequest, Sessions, sessionsMax } from './sessions.ts'

const clock = virtualClock()
const request = (id: string, more: Partial<SessionRequest> = {}): SessionRequest => ({
  id,
  timeoutMs: 60_000,
  mustExist: false,
  isLast: false,
  ...more,
})
const open = () => true
const unanswered = () => false
const closed: string[] = []
const connection = (name: string) => ({ close: () => closed.push(name) }) as unknown as EngineConnection

it('a session keeps its connection for its user until it was idle for its timeout', async () => {
  const sessions = new Sessions(clock)
  const first = await sessions.take('default', request('a'), open)
  first.session.connection = connection('a')
  first.give()
  expect(clock.step(59_999)).toBe(false)
  const second = await sessions.take('default', request('a', { mustExist: true, timeoutMs: 1_000 }), open)
  expect(second.session.connection).toBe(first.session.connection)
  await expect(sessions.take('readonly', request('a', { mustExist: true }), open)).rejects.toMatchObject({
    number: 372,
  })
  expect(clock.step(1e9)).toBe(false)
  second.give()
  expect(clock.step()).toBe(true)
  expect(closed).toEqual(['a'])
  await expect(sessions.take('default', request('a', { mustExist: true }), open)).rejects.toMatchObject({ number: 372 })
})

it('a busy session is locked until its client has an answer; then the next request waits for it', async () => {
  const sessions = new Sessions(clock)
  let answered = false
  const first = await sessions.take('default', request('b'), () => answered)
  await expect(sessions.take('default', request('b'), open)).rejects.toMatchObject({ number: 373 })
  answered = true
  const waiting = [1, 2].map(() => sessions.take('default', request('b'), unanswered))
  first.give()
  const [second, third] = await Promise.allSettled(waiting)
  expect(second).toMatchObject({ status: 'fulfilled', value: { session: first.session } })
  expect(third).toMatchObject({ status: 'rejected', reason: { number: 373 } })
})

it('close_session and the end of the engine close connections, and the number of sessions is bounded', async () => {
  closed.length = 0
  const sessions = new Sessions(clock)
  for (let index = 0; index < sessionsMax; index++) {
    const { session, give } = await sessions.take('default', request(`${index}`), open)
    session.connection = connection(`${index}`)
    give()
  }
  await expect(sessions.take('default', request('more'), open)).rejects.toMatchObject({ number: 202 })
  const last = await sessions.take('default', request('7', { isLast: true }), open)
  last.give()
  expect(closed).toEqual(['7'])
  sessions.close()
  expect(new Set(closed).size).toBe(sessionsMax)
  expect(clock.step()).toBe(false)
})
