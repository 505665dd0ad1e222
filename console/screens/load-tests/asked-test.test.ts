import { expect, test } from 'vitest'
import type { Session } from '#console/data/session.ts'
import { boundFaults, commandFor, numbersOf } from './asked-test.ts'

const typed = { devices: '10', rate: '100', seconds: '30', bodyBytes: '64' }
const session: Session = {
  policy: 'iothubowner',
  rights: [],
  expiresAt: undefined,
  isOpen: true,
  hostName: 'hub',
  host: '127.0.0.1',
  ports: { mqtt: 1883, http: 8080 },
  version: '1',
}

test('what is typed is a whole number within its bounds, or is said to be none', () => {
  expect(boundFaults(typed)).toEqual({})
  for (const wrong of ['', 'ten', '-1', '1e3', '0', '2001', '1.5'])
    expect(boundFaults({ ...typed, devices: wrong }), wrong).toEqual({ devices: 'a whole number from 1 to 2000' })
})

test('the command says what differs from what is usual', () => {
  const asked = { ...numbersOf(typed), qos: 1, shape: 'steady' as const }
  const command = commandFor(asked, session)
  expect(command).toContain('--connections 10 --rate 100 --seconds 30 --body-bytes 64')
  expect(command).not.toMatch(/--qos|--shape|--data-dir/)
  const other = commandFor({ ...asked, qos: 0, shape: 'storm' }, { ...session, isOpen: false })
  expect(other).toMatch(/--qos 0[\s\S]*--shape storm[\s\S]*--hub-name hub/)
})
