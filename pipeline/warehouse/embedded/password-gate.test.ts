import { describe, expect, test } from 'vitest'
import { createLogger } from '#runtime/logger.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { limits } from '#schemas/limits.ts'
import type { EngineError } from './engine-error.ts'
import { PasswordGate } from './password-gate.ts'

const { passwordFailuresPerMinute, passwordTurnMs, passwordWaitMsMax, refusalsToldPerMinute } = limits

function setUp() {
  const clock = virtualClock(1_700_000_040_000)
  const lines: string[] = []
  const passwords = new Map([
    ['default', 'right'],
    ['readonly', ''],
  ])
  const gate = new PasswordGate(
    passwords,
    clock,
    createLogger('test', 'info', (line) => lines.push(line)),
  )
  const from = (remoteAddress: string) => ({ remoteAddress })
  /** Lets attempts under way settle; `undefined` for an attempt that still waits. */
  const outcome = async (attempt: Promise<boolean>): Promise<boolean | string | undefined> => {
    const none = new Promise<undefined>((resolve) => setImmediate(() => resolve(undefined)))
    return Promise.race([attempt.catch((error: EngineError) => error.codeName), none])
  }
  const fail = async (address: string, count: number) => {
    for (let attempt = 0; attempt < count; attempt++) await gate.admits(from(address), 'default', `wrong ${attempt}`)
  }
  const pass = (ms: number) => {
    let isOver = false
    clock.after(ms, () => {
      isOver = true
    })
    while (!isOver) clock.step()
  }
  return { gate, lines, from, outcome, fail, pass }
}

describe('passwords', () => {
  test('a right one is admitted, a wrong one, one of another user and an unknown user are not', async () => {
    const { gate, from } = setUp()
    const attempts = [
      ['default', 'right'],
      ['readonly', ''],
      ['default', ''],
      ['default', 'righ'],
      ['readonly', 'right'],
      ['nobody', ''],
      ['nobody', 'right'],
    ] as const
    const admitted = await Promise.all(attempts.map(([user, password]) => gate.admits(from('::1'), user, password)))
    expect(admitted).toEqual([true, true, false, false, false, false, false])
  })

  test('over the limit attempts are looked at in turn, the right one too, which gets in', async () => {
    const { gate, from, outcome, fail, pass } = setUp()
    await fail('10.0.0.1', passwordFailuresPerMinute + 1)
    const guesses = Array.from({ length: 3 }, () => gate.admits(from('10.0.0.1'), 'default', 'wrong'))
    const right = gate.admits(from('10.0.0.1'), 'default', 'right')
    expect(await Promise.all(guesses.map(outcome))).toEqual([false, undefined, undefined])
    pass(2 * passwordTurnMs)
    expect(await Promise.all(guesses.map(outcome))).toEqual([false, false, false])
    expect(await outcome(right)).toBeUndefined()
    pass(passwordTurnMs)
    expect(await outcome(right)).toBe(true)
  })

  test('no more are looked at than the turns allow, whoever waits for the answer; others elsewhere notice nothing', async () => {
    const { gate, from, outcome, fail } = setUp()
    await fail('10.0.0.1', passwordFailuresPerMinute + 1)
    const guesses = Array.from({ length: 1_000 }, () => gate.admits(from('10.0.0.1'), 'default', 'wrong'))
    const outcomes = await Promise.all(guesses.map(outcome))
    expect(outcomes.filter((told) => told === false)).toHaveLength(1)
    expect(outcomes.filter((told) => told === undefined)).toHaveLength(passwordWaitMsMax / passwordTurnMs)
    expect(new Set(outcomes.slice(-900))).toEqual(new Set(['TOO_MANY_SIMULTANEOUS_QUERIES']))
    expect(await outcome(gate.admits(from('10.0.0.2'), 'default', 'right'))).toBe(true)
  })

  test('a connection that proved its user goes on at once; for another user it proves nothing', async () => {
    const { gate, from, outcome, fail } = setUp()
    const known = from('10.0.0.1')
    const reader = from('10.0.0.1')
    await gate.admits(known, 'default', 'right')
    await gate.admits(reader, 'readonly', '')
    await fail('10.0.0.1', passwordFailuresPerMinute + 1)
    await gate.admits(from('10.0.0.1'), 'default', 'takes the turn')
    expect(await outcome(gate.admits(known, 'default', 'right'))).toBe(true)
    expect(await outcome(gate.admits(reader, 'default', 'right'))).toBeUndefined()
    expect(await outcome(gate.admits(known, 'default', 'wrong'))).toBe(false)
    expect(await outcome(gate.admits(known, 'default', 'right'))).toBeUndefined()
  })

  test('a user without a password is nothing to guess', async () => {
    const { gate, from, outcome, fail } = setUp()
    await fail('10.0.0.1', passwordFailuresPerMinute + 2)
    expect(await outcome(gate.admits(from('10.0.0.1'), 'readonly', ''))).toBe(true)
  })

  test('the limit is forgotten with time', async () => {
    const { gate, from, outcome, fail, pass } = setUp()
    await fail('10.0.0.1', passwordFailuresPerMinute + 1)
    pass(60_000)
    const attempts = Array.from({ length: 3 }, () => gate.admits(from('10.0.0.1'), 'default', 'right'))
    expect(await Promise.all(attempts.map(outcome))).toEqual([true, true, true])
  })

  test('failures are logged with user and address, the first of each minute, never with the password', async () => {
    const { gate, lines, from, pass } = setUp()
    for (let attempt = 0; attempt < refusalsToldPerMinute + 5; attempt++)
      await gate.admits(from(`10.0.1.${attempt}`), attempt === 1 ? 'no\nbody' : 'default', 'guessed')
    expect(lines).toHaveLength(refusalsToldPerMinute)
    expect(lines[0]).toMatch(/warn {2}test: a wrong password was sent from=10\.0\.1\.0 user=default$/)
    expect(lines[1]).toMatch(/from=10\.0\.1\.1$/)
    pass(60_000)
    await gate.admits(from('10.0.0.1'), 'default', 'guessed')
    expect(lines.slice(refusalsToldPerMinute).map((line) => line.replace(/.*test: /, ''))).toEqual([
      'more wrong passwords were sent count=5',
      'a wrong password was sent from=10.0.0.1 user=default',
    ])
    expect(lines.join()).not.toContain('guessed')
  })
})
