import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { generatedKeys } from '#control/identities/identity.ts'
import type { JsonCheck } from '#runtime/json-check.ts'
import { controlContract, controlSocketPath, edgeContract } from './directory-contract.ts'

const travelled = <T>(check: JsonCheck<T>, value: T): T => check(JSON.parse(JSON.stringify(value)))

test('records come back as they were, of devices and of modules', () => {
  const { reset, beat, announce } = controlContract.questions
  for (const moduleId of [undefined, 'm']) {
    const id = { deviceId: 'd', moduleId }
    expect(travelled(reset.answered, [id])).toEqual([id])
    const activity = { ...id, atMs: 5 }
    const heard = { edgeId: 'edge-0', heard: [activity] }
    expect(travelled(beat.asked, heard)).toEqual(heard)
    const announcement = { edge: 'e', opened: [activity] }
    expect(travelled(announce.asked, announcement)).toEqual(announcement)
    expect(travelled(edgeContract.pushes.announced, announcement)).toEqual(announcement)
    for (const connected of [true, false]) {
      const presence = { ...activity, connected, edgeId: 'edge-0' }
      expect(travelled(controlContract.pushes.presence, [presence])).toEqual([presence])
    }
  }
})

test('credentials, trust, quotas and notices come back as they were; a module may have any name', () => {
  const { lookup, trust, quotas } = controlContract.questions
  const credentials = {
    generationId: 'g',
    status: 'disabled',
    authentication: { ...generatedKeys, primaryKey: 'k' },
  } as const
  const device = { deviceId: 'd', ...credentials, modules: Object.fromEntries([['__proto__', credentials]]) }
  const [found] = travelled(lookup.answered, [device])
  expect(found).toMatchObject({ deviceId: 'd', ...credentials })
  expect(Object.entries(found?.modules ?? {})).toEqual([['__proto__', credentials]])
  const policy = { name: 'p', rights: ['DeviceConnect'] as const, primaryKey: 'a', secondaryKey: 'b' }
  const authority = { name: 'ca', certificate: 'PEM', verified: false, verificationCode: 'code' }
  const all = {
    policies: [policy],
    authorities: [authority, { ...authority, verified: true, verificationCode: undefined }],
  }
  expect(travelled(trust.answered, all)).toEqual(all)
  const quota = { deviceId: 'd', messagesPerSecond: 0, bytesPerSecond: undefined, connectionsPerMinute: 2 }
  expect(travelled(quotas.answered, [quota])).toEqual([quota])
  for (const notice of [
    { kind: 'devices', deviceIds: ['d'] },
    { kind: 'trust' },
    { kind: 'quotas' },
    { kind: 'everything' },
  ] as const)
    expect(travelled(edgeContract.pushes.invalid, notice)).toEqual(notice)
})

test('what another process may not say is refused, with where it is wrong', () => {
  const { lookup, trust, beat } = controlContract.questions
  expect(() => lookup.asked(['d', 1])).toThrow('[1] is no text')
  expect(() => trust.answered({ policies: [{ name: 'p', rights: ['Everything'] }], authorities: [] })).toThrow(
    '.policies[0].rights[0] is none of RegistryRead',
  )
  expect(() => beat.asked({ edgeId: 'e', heard: [['d', null, 3]] })).toThrow('.heard[0] is no object')
  expect(() => edgeContract.pushes.invalid({ kind: 'twins' })).toThrow('.kind is of no known kind')
  expect(() => edgeContract.pushes.invalid({ kind: 'constructor' })).toThrow('.kind is of no known kind')
})

test('a folder whose name is too long for a socket gets one elsewhere, each its own', () => {
  const longest = '/'.padEnd(103 - '/control.sock'.length, 'd')
  expect(controlSocketPath(longest)).toBe(join(longest, 'control.sock'))
  const elsewhere = [`${longest}1`, `${longest}2`, `${longest.slice(0, -2)}é0`].map(controlSocketPath)
  expect(new Set(elsewhere).size).toBe(3)
  for (const path of elsewhere) expect(path.startsWith(join(tmpdir(), 'penstock-'))).toBe(true)
  expect(controlSocketPath(`${longest}1`)).toBe(elsewhere[0])
})
