/**
 * Provisioning by clients that nobody here wrote, unchanged, against everything as a user runs it: a network and host names of their own,
 * TLS by the development authority.
 */
import { createHmac, randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createSasToken } from '#control/auth/sas-token.ts'
import { type DevelopmentCa, makeDevelopmentCa } from '#infra/commands/development-ca.ts'
import { type Namespace, namespaceMissing, openNamespace } from '#infra/testbed/namespace.ts'
import { type RunningPenstock, startPenstock } from '#infra/testbed/penstock.ts'
import { pythonForDevices, pythonSdkMissing } from '#infra/testbed/python-sdk.ts'
import { serverFor } from '#infra/testbed/require-server.ts'

const hub = 'hub.penstock.test'
const service = 'provisioning.penstock.test'
const idScope = '0ne000ABCDE'
const client = (name: string): string => join(import.meta.dirname, '../testbed/clients', name)
const ownerKey = randomBytes(32).toString('base64')
const network = serverFor('a network namespace', namespaceMissing)
const python = serverFor('Python', pythonSdkMissing)
const nodeTransports = ['mqtt', 'mqtt-ws', 'amqp', 'amqp-ws', 'http'] as const
const pythonTransports = ['mqtt', 'mqtt-ws'] as const

interface Enrolled {
  readonly group: { readonly attestation: { readonly symmetricKey: { readonly primaryKey: string } } }
  readonly keys: { readonly symmetricKey: { readonly primaryKey: string; readonly secondaryKey: string } }
}

describe.skipIf(network.skip)(`clients that register ${network.note}`, () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'penstock-provisioning-'))
  let inside: Namespace
  let penstock: RunningPenstock
  let ca: DevelopmentCa
  let enrolled: Enrolled

  beforeAll(async () => {
    const deviceIds = [
      ...nodeTransports.map((name) => `x509-${name}`),
      ...pythonTransports.map((name) => `python-x509-${name}`),
    ]
    ca = makeDevelopmentCa({ dataDir, hostNames: [hub, service], deviceIds, nowMs: Date.now() })
    inside = await openNamespace([hub, service])
    const settings = {
      PENSTOCK_BIND: '0.0.0.0',
      PENSTOCK_IDENTITIES: 'required',
      PENSTOCK_HOSTNAME: hub,
      PENSTOCK_PROVISIONING_HOSTNAME: service,
      PENSTOCK_PROVISIONING_ID_SCOPE: idScope,
      PENSTOCK_OWNER_KEY: ownerKey,
      PENSTOCK_TLS_CERT: ca.certFile,
      PENSTOCK_TLS_KEY: ca.keyFile,
      PENSTOCK_MQTTS_PORT: '8883',
      PENSTOCK_AMQPS_PORT: '5671',
      PENSTOCK_HTTPS_PORT: '443',
      PENSTOCK_EDGE_PROCESSES: '2',
    }
    penstock = await startPenstock(dataDir, settings, inside.through)
    const connectionString = `HostName=${service};SharedAccessKeyName=provisioningserviceowner;SharedAccessKey=${ownerKey}`
    enrolled = JSON.parse(await node([client('hub-enrolments.ts'), connectionString, ca.caFile]))
  })

  afterAll(async () => {
    await penstock?.stop()
    await inside?.close()
    rmSync(dataDir, { recursive: true, force: true })
  })

  const node = (args: readonly string[], input?: unknown): Promise<string> =>
    inside.run(process.execPath, args, {
      environment: { NODE_EXTRA_CA_CERTS: ca.caFile },
      input: JSON.stringify(input ?? null),
    })

  const keyOf = (registrationId: string): string =>
    createHmac('sha256', Buffer.from(enrolled.group.attestation.symmetricKey.primaryKey, 'base64'))
      .update(registrationId)
      .digest('base64')

  async function register(transport: string, registrationId: string, proof: object): Promise<Record<string, unknown>> {
    return JSON.parse(await node([client('hub-provisioning.ts'), transport, service, idScope, registrationId], proof))
  }

  /** What the hub has of a device. */
  async function rest(path: string): Promise<unknown> {
    const content = { scope: hub, key: ownerKey, policyName: 'iothubowner', expiresAtMs: Date.now() + 600_000 }
    const script = `fetch(...JSON.parse(require('fs').readFileSync(0))).then(async (r) => console.log(await r.text()))`
    return JSON.parse(
      await node(['-e', script], [`https://${hub}${path}`, { headers: { Authorization: createSasToken(content) } }]),
    )
  }

  function certificateOf(deviceId: string): DevelopmentCa['devices'][number] {
    const made = ca.devices.find(({ id }) => id === deviceId)
    if (made === undefined) throw new Error(`no certificate of ${deviceId}`)
    return made
  }

  test("the hub's service SDK makes, reads, changes, lists and deletes enrolments", () => {
    expect(enrolled).toMatchObject({
      group: { enrollmentGroupId: 'keys', initialTwin: { tags: { line: 7 } }, provisioningStatus: 'enabled' },
      certified: { attestation: { x509: { signingCertificates: { primary: { info: { version: 3 } } } } } },
      single: { registrationId: 'single', deviceId: 'single-device', allocationPolicy: 'hashed' },
      keys: { type: 'symmetricKey' },
      updated: { capabilities: { iotEdge: true } },
      stale: 'InvalidEtagError',
      bulk: { isSuccessful: true, errors: [] },
      listed: ['bulk-a', 'bulk-b', 'bulk-c', 'single'],
      gone: 404,
    })
  })

  test.each(nodeTransports)(
    'devices of the SDK for Node over %s get their hub, by key and by certificate',
    async (transport) => {
      const id = `keyed-${transport}`
      const { certFile, keyFile } = certificateOf(`x509-${transport}`)
      const proof = { cert: readFileSync(certFile, 'utf8'), privateKey: readFileSync(keyFile, 'utf8') }
      const [keyed, certified, wrong] = await Promise.all([
        register(transport, id, { key: keyOf(id), payload: { größe: 1 } }),
        register(transport, `x509-${transport}`, proof),
        register(transport, `wrong-${transport}`, { key: keyOf('another') }),
      ])
      expect(keyed).toMatchObject({
        assignedHub: hub,
        deviceId: id,
        status: 'assigned',
        substatus: 'initialAssignment',
      })
      expect(certified).toMatchObject({ assignedHub: hub, deviceId: `x509-${transport}` })
      // Over MQTT the SDK has no name for it.
      expect(wrong).toEqual({ error: transport === 'http' ? 'UnauthorizedError' : 'Error' })
      expect(await rest(`/devices/${id}`)).toMatchObject({
        authentication: { type: 'sas', symmetricKey: { primaryKey: keyOf(id) } },
      })
      expect(await rest(`/twins/${id}`)).toMatchObject({ tags: { line: 7 }, properties: { desired: { speed: 3 } } })
      expect(await rest(`/devices/x509-${transport}`)).toMatchObject({ authentication: { type: 'selfSigned' } })
    },
  )

  test.skipIf(python.skip)(`devices of the SDK for Python get their hub ${python.note}`, async () => {
    const registered = await Promise.all(
      pythonTransports.flatMap((transport) => {
        const run = (id: string, proof: object) =>
          inside.run(pythonForDevices, [client('hub_provisioning.py'), transport, service, idScope, id, ca.caFile], {
            input: JSON.stringify(proof),
          })
        const { certFile, keyFile } = certificateOf(`python-x509-${transport}`)
        return [
          run(`python-${transport}`, { key: keyOf(`python-${transport}`) }),
          run(`python-x509-${transport}`, { certFile, keyFile }),
        ]
      }),
    )
    expect(registered.map((text) => JSON.parse(text))).toEqual(
      pythonTransports.flatMap((transport) =>
        [`python-${transport}`, `python-x509-${transport}`].map((deviceId) => ({
          status: 'assigned',
          assignedHub: hub,
          deviceId,
        })),
      ),
    )
  })
})
