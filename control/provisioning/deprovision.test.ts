import { expect, test } from 'vitest'
import { PenstockError } from '#schemas/errors.ts'
import { deprovision } from './deprovision.ts'
import { checkEtag } from './enrolment-rows.ts'
import type { Registrations } from './provisioning.ts'
import type { Registration } from './registration.ts'

const first: Registration = {
  registrationId: 'mover',
  groupId: undefined,
  deviceId: 'mover',
  hub: 'old',
  status: 'assigning',
  substatus: 'initialAssignment',
  fault: undefined,
  operationId: '5.1',
  proof: {},
  payload: undefined,
  credentials: undefined,
  etag: 'e1',
  createdAtMs: 0,
  updatedAtMs: 0,
}

/** One registration, and the hubs that the device was taken from. @param onTaken what becomes of it meanwhile */
function moving(onTaken: (row: Registration, taken: readonly string[]) => Registration) {
  let row: Registration | undefined = first
  const taken: string[] = []
  const registrations: Registrations = {
    get: async () => row,
    ofGroup: async () => [],
    delete: async (id, ifMatch) => {
      if (row === undefined) throw new PenstockError('PROVISIONING_REGISTRATION_UNKNOWN', id)
      checkEtag(row, ifMatch)
      row = undefined
    },
  }
  const devicesOf = async (hub: string) => ({
    twinOf: async () => undefined,
    seen: async () => undefined,
    remove: async () => {
      taken.push(hub)
      if (row !== undefined) row = onTaken(row, taken)
      return true
    },
  })
  return { taken, rowOf: () => row, deprovisioned: () => deprovision(registrations, devicesOf, first) }
}

test('a device that gets another hub while it is taken from the old one is taken from that, too', async () => {
  const assigned = { ...first, hub: 'new', status: 'assigned', etag: 'e2' } as const
  const { taken, rowOf, deprovisioned } = moving(() => assigned)
  await deprovisioned()
  expect([taken, rowOf()]).toEqual([['old', 'new'], undefined])
})

test('one that registers without end is left, and that is told', async () => {
  const { taken, rowOf, deprovisioned } = moving((row, { length }) => ({ ...row, etag: `again-${length}` }))
  await expect(deprovisioned()).rejects.toMatchObject({ code: 'REGISTRY_ETAG_STALE' })
  expect([taken.length, rowOf()?.registrationId]).toEqual([5, 'mover'])
})
