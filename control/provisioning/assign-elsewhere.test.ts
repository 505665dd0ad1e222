/** Registrations that others interfere with, over a store of one row and a linked hub that answers what a test says. */
import { expect, test } from 'vitest'
import type { Database, Queries } from '#control/store/database.ts'
import { systemClock } from '#runtime/clock.ts'
import { silentLogger } from '#runtime/logger.ts'
import { PenstockError } from '#schemas/errors.ts'
import { AssignElsewhere, type Wanted } from './assign-elsewhere.ts'
import type { Enrolment } from './enrolment.ts'
import { OneRegistration, registrationIn } from './one-registration-fixture.ts'
import { OutgoingRequests } from './outgoing-requests.ts'
import type { Registration } from './registration.ts'
import { putRegistrationRows } from './registration-rows.ts'

const here = 'here.test'
const there = 'there.test'
const enrolment = {
  kind: 'individual',
  id: 'mover',
  deviceId: undefined,
  iotEdge: false,
  initialTwin: undefined,
  reprovisioning: { updateHubAssignment: true, migrateDeviceData: false },
} as unknown as Enrolment
const sas = { kind: 'sas', primaryKey: 'k', secondaryKey: 'k' } as const
const authentication = { ...sas, primaryThumbprint: undefined, secondaryThumbprint: undefined }
const before = registrationIn(here)

interface Meanwhile {
  /** What is written of it once it was looked up. */
  readonly written?: Registration
  /** What happens once the other hub has made the device. */
  readonly made?: (rows: OneRegistration) => void
  readonly removal?: () => Promise<void>
  /** The device has a first twin, to which the other hub answers this. */
  readonly twinStatus?: number
}

/** A device moves from this hub to the other one. */
async function moved({ written = before, made, removal = async () => {}, twinStatus }: Meanwhile) {
  const rows = new OneRegistration()
  await putRegistrationRows(rows, [written])
  const asked: string[] = []
  const warned: string[] = []
  const outgoing = new OutgoingRequests({ ownPorts: [], allowed: [] })
  outgoing.send = async ({ method, headers }) => {
    asked.push(method === 'DELETE' ? `DELETE ${headers?.['If-Match']}` : method)
    if (method === 'GET') return { status: 404, body: undefined }
    if (method === 'DELETE') return removal().then(() => ({ status: 204, body: undefined }))
    if (method === 'PATCH') return { status: twinStatus ?? 200, body: {} }
    made?.(rows)
    return { status: 200, body: { etag: 'made' } }
  }
  const own = {
    twinOf: async () => undefined,
    etagOf: async () => 'as it was',
    remove: async (_id: string, etag?: string) => void asked.push(`taken from here ${etag}`),
  }
  const elsewhere = new AssignElsewhere({
    database: { ...rowsOf(rows), transaction: (work) => work(rows) } as Database,
    clock: systemClock,
    logger: { ...silentLogger, warn: (text) => void warned.push(text) },
    outgoing,
    own,
    hubName: here,
    isGroupInForce: () => true,
    assignHere: () => Promise.reject(new Error('it goes elsewhere')),
  })
  const firstTwin = twinStatus === undefined ? undefined : { tags: { hall: 'a' } }
  const assignment = {
    enrolment: { ...enrolment, initialTwin: firstTwin },
    authentication,
    proof: {},
    registrationId: 'mover',
    operationId: '5.1',
  }
  const linkedHubs = [{ hostName: there, policyName: 'p', key: 'a2V5', weight: 1 }]
  const known = { revision: 0, groups: [], hubs: [], linkedHubs, individual: enrolment, registration: before }
  const wanted = { assignment, known, payload: undefined, choice: { kind: 'hub', hostName: there } } as Wanted
  const begun = await elsewhere.begin(wanted).catch((error: unknown) => error)
  await elsewhere.close()
  return { rows, asked, warned, begun }
}

function rowsOf(rows: OneRegistration): Pick<Queries, 'query'> {
  return { query: (sql, parameters) => rows.query(sql, parameters) }
}

test('a registration that another process wrote since it was looked up is not begun, and keeps its hub', async () => {
  const { rows, asked, begun } = await moved({ written: { ...before, hub: there, etag: 'e1' } })
  expect(begun).toMatchObject({ code: 'PROVISIONING_BUSY' })
  expect([asked, rows.row]).toEqual([[], expect.objectContaining({ hub: there, etag: 'e1', status: 'assigned' })])
})

test('a registration that was begun again while the other hub made the device takes back what it made, and nothing else', async () => {
  const { rows, asked } = await moved({
    made: (at) => {
      at.row = { ...at.row, operation_id: '5.2' }
    },
  })
  expect(asked).toEqual(['GET', 'PUT', 'DELETE "made"'])
  expect(rows.row).toMatchObject({ operation_id: '5.2', status: 'assigning', hub: here })
})

test('a device whose first twin the other hub does not take is not left there without it', async () => {
  const { rows, asked } = await moved({ twinStatus: 503 })
  expect(asked).toEqual(['GET', 'PUT', 'PATCH', 'DELETE "made"'])
  expect(rows.row).toMatchObject({ status: 'failed', fault_code: 500_001, hub: here })
})

test('a device that a linked hub does not give back after its enrolment was withdrawn is told in the log', async () => {
  const removal = () => Promise.reject(new PenstockError('PROVISIONING_UNREACHABLE', 'away'))
  const { rows, asked, warned } = await moved({ removal })
  expect([asked, warned]).toEqual([['GET', 'PUT', 'DELETE "made"'], [expect.stringContaining('stays in a linked hub')]])
  expect(rows.row).toMatchObject({ status: 'failed', fault_code: 401_002, hub: here })
})
