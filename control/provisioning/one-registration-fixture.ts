/** For tests: a store of one registration. */
import type { Queries } from '#control/store/database.ts'
import type { Registration } from './registration.ts'

/** Of a device that has a hub. */
export function registrationIn(hub: string, fields: Partial<Registration> = {}): Registration {
  return {
    registrationId: 'mover',
    groupId: undefined,
    deviceId: 'mover',
    hub,
    status: 'assigned',
    substatus: 'initialAssignment',
    fault: undefined,
    operationId: '5.0',
    proof: {},
    payload: undefined,
    credentials: undefined,
    etag: 'e0',
    createdAtMs: 0,
    updatedAtMs: 0,
    ...fields,
  }
}

type Row = Record<string, unknown>

/** The registration as its row; of anything else it has what a test says, and no enrolment in force. */
export class OneRegistration implements Queries {
  row: Row | undefined
  /** By the name of a table. */
  readonly others: Record<string, readonly Row[]> = {}

  async query<Found>(sql: string, parameters: readonly unknown[] = []): Promise<Found[]> {
    if (sql.includes('INSERT INTO penstock.registrations')) this.row = JSON.parse(String(parameters[0]))[0] ?? this.row
    const [, table = ''] = /FROM penstock\.(\w+)/.exec(sql) ?? []
    if (table !== 'registrations') return [...(this.others[table] ?? [])] as Found[]
    if (this.row === undefined) return []
    const { created_at, updated_at, ...row } = this.row
    return [{ ...row, created_at: new Date(String(created_at)), updated_at: new Date(String(updated_at)) } as Found]
  }
}
