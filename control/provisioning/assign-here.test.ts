import { expect, test } from 'vitest'
import { assignHere } from './assign-here.ts'
import { enrolmentFrom, storedText } from './enrolment-document.ts'
import { OneRegistration, registrationIn } from './one-registration-fixture.ts'
import { putRegistrationRows } from './registration-rows.ts'

const key = Buffer.alloc(32, 7).toString('base64')
const symmetricKey = { primaryKey: key, secondaryKey: key }
const sas = { kind: 'sas', ...symmetricKey, primaryThumbprint: undefined, secondaryThumbprint: undefined } as const

/** A device that another hub has is given this one, in a store in which its enrolment is in force. */
async function given(isBegun: boolean) {
  const content = enrolmentFrom(
    'individual',
    { attestation: { type: 'symmetricKey', symmetricKey } },
    'mover',
    undefined,
  )
  const times = { created_at: new Date(0), updated_at: new Date(0) }
  const store = new OneRegistration()
  store.others.enrolments = [{ kind: 'individual', id: 'mover', etag: 'e', document: storedText(content), ...times }]
  await putRegistrationRows(store, [registrationIn('there.test')])
  const enrolment = { ...content, etag: 'e', createdAtMs: 0, updatedAtMs: 0 }
  const assignment = { enrolment, authentication: sas, proof: {}, registrationId: 'mover', operationId: '5.0', isBegun }
  const [outcome] = await assignHere(store, [assignment], 'here.test', () => true, 1)
  return { outcome, row: store.row }
}

test('a device that another process gave another hub since it was looked up is not given this one beside it', async () => {
  const { outcome, row } = await given(false)
  expect([outcome, row?.hub]).toEqual(['overtaken', 'there.test'])
})

test('one that was begun to be moved here is', async () => {
  const { outcome } = await given(true)
  expect(outcome).not.toBe('overtaken')
})
