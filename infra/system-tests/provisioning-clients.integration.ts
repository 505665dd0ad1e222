/**
 * Provisioning by clients that nobody here wrote, unchanged, against everything as a user runs it: a network and host names of their own,
 * TLS by the development authority.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { createHmac, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createSasToken } from '#control/auth/sas-token.ts'
import { SoftwareTpm } from '#control/provisioning/software-tpm-fixture.ts'
import { type DevelopmentCa, makeDevelopmentCa } from '#infra/commands/development-ca.ts'

import { type Namespace, namespaceMissing, openNamespace } from '#infra/testbed/namespace.ts'
import { type RunningPenstock, startPenstock } from '#infra/testbed/penstock.ts'
import { pythonForDevices, pythonSdkMissing } from '#infra/testbed/python-sdk.ts'
import { serverFor } from '#infra/testbed/require-server.ts'
import type { Registering } from './hub-provisioning-fixture.ts'

const hub = 'hub.penstock.test'
const service = 'provisioning.penstock.test'
const idScope = '0ne000ABCDE'
const client = (name: string): string => join(import.meta.dirname, '../testbed/clients', name)
const ownerKey = randomBytes(32).toString('base64')
const network = serverFor('a network namespace', namespaceMissing)
const python = serverFor('Python', pythonSdkMissing)
const nodeTransports = ['mqtt', 'mqtt-ws', 'amqp', 'amqp-ws', 'http'] as const
/** Nothing else is in the network. */
const chooserPort = '8099'
const chosenKey = randomBytes(32).toString('base64')
const chosenAttestation = { type: 'symmetricKey', symmetricKey: { primaryKey: chosenKey, secondaryKey: chosenKey } }
const customAllocation = {
  allocationPolicy: 'custom',
  customAllocationDefinition: { webhookUrl: `http://127.0.0.1:${chooserPort}/`, apiVersion: '2021-10-01' },
}
/** The SDK has no TPM over MQTT. */
const tpmTransports = ['amqp', 'amqp-ws', 'http'] as const
const pythonTransports = ['mqtt', 'mqtt-ws'] as const

/** What the SDK calls a wrong key: it has no name for it over MQTT, nor for an answer of SASL. */
const refusalNames = {
  mqtt: 'Error',
  'mqtt-ws': 'Error',
  amqp: 'NotConnectedError',
  'amqp-ws': 'NotConnectedError',
  http: 'UnauthorizedError',
} as const

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
  /** By id. */
  const registered = new Map<string, unknown>()
  let chooser: ChildProcess
  const tpms = new Map<string, SoftwareTpm>(tpmTransports.map((transport) => [transport, new SoftwareTpm()]))

  beforeAll(async () => {
    const deviceIds = [
      ...nodeTransports.map((name) => `x509-${name}`),
      ...pythonTransports.map((name) => `python-x509-${name}`),
    ]
    ca = makeDevelopmentCa({ dataDir, hostNames: [hub, service], deviceIds, nowMs: Date.now() })
    inside = await openNamespace([hub, service])
    const settings = {
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
    chooser = await startChooser()
    await rest(
      ...nodeTransports.map(
        (transport) =>
          [
            `/enrollments/chosen-${transport}`,
            { registrationId: `chosen-${transport}`, attestation: chosenAttestation, ...customAllocation },
          ] as const,
      ),
      ...[...tpms].map(([transport, { endorsementKey }]) => {
        const registrationId = `tpm-${transport}`
        return [
          `/enrollments/${registrationId}`,
          { registrationId, attestation: { type: 'tpm', tpm: { endorsementKey } } },
        ] as const
      }),
    )
    const devices = nodeTransports.flatMap(devicesOver)
    const told: unknown[] = JSON.parse(
      await node([join(import.meta.dirname, 'hub-provisioning-fixture.ts'), service, idScope], devices),
    )
    for (const [index, { id }] of devices.entries()) registered.set(id, told[index])
  })

  afterAll(async () => {
    chooser?.stdin?.end()
    await penstock?.stop()
    await inside?.close()
    rmSync(dataDir, { recursive: true, force: true })
  })

  const node = (args: readonly string[], input?: unknown): Promise<string> =>
    inside.run(process.execPath, args, {
      environment: { NODE_EXTRA_CA_CERTS: ca.caFile },
      input: JSON.stringify(input ?? null),
    })

  async function startChooser(): Promise<ChildProcess> {
    const [program = '', ...args] = [...inside.through, '--', process.execPath, client('choose-hub.ts'), chooserPort]
    const started = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    await once(started.stdout, 'data')
    return started
  }

  const keyOf = (registrationId: string): string =>
    createHmac('sha256', Buffer.from(enrolled.group.attestation.symmetricKey.primaryKey, 'base64'))
      .update(registrationId)
      .digest('base64')

  function devicesOver(transport: Registering['transport']): Registering[] {
    const { certFile, keyFile } = certificateOf(`x509-${transport}`)
    const tpm = tpms.get(transport)?.keys
    return [
      { transport, id: `keyed-${transport}`, key: keyOf(`keyed-${transport}`), payload: { größe: 1 } },
      { transport, id: `chosen-${transport}`, key: chosenKey, payload: { größe: 2 } },
      {
        transport,
        id: `x509-${transport}`,
        cert: readFileSync(certFile, 'utf8'),
        privateKey: readFileSync(keyFile, 'utf8'),
      },
      { transport, id: `wrong-${transport}`, key: keyOf('another') },
      ...(tpm === undefined ? [] : [{ transport, id: `tpm-${transport}`, tpm }]),
    ]
  }

  /** What the hub has at each path, or makes of a document that is put there. */
  async function rest(...requests: readonly (readonly [path: string, put?: unknown])[]): Promise<unknown[]> {
    const content = { scope: hub, key: ownerKey, policyName: 'iothubowner', expiresAtMs: Date.now() + 600_000 }
    const headers = { Authorization: createSasToken(content), 'Content-Type': 'application/json' }
    const script = `Promise.all(JSON.parse(require('fs').readFileSync(0)).map((one) => fetch(...one).then((r) => r.json())))
      .then((all) => console.log(JSON.stringify(all)))`
    const calls = requests.map(([path, put]) => [
      `https://${hub}${path}`,
      put === undefined ? { headers } : { method: 'PUT', headers, body: JSON.stringify(put) },
    ])
    return JSON.parse(await node(['-e', script], calls))
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
      expect(registered.get(id)).toMatchObject({
        assignedHub: hub,
        deviceId: id,
        status: 'assigned',
        substatus: 'initialAssignment',
      })
      expect(registered.get(`x509-${transport}`)).toMatchObject({ assignedHub: hub, deviceId: `x509-${transport}` })
      expect(registered.get(`wrong-${transport}`)).toEqual({ error: refusalNames[transport] })
      // What a device says reaches the function that chooses its hub, and what that says the device.
      expect(registered.get(`chosen-${transport}`)).toMatchObject({
        assignedHub: hub,
        payload: { heard: { größe: 2 } },
      })
      const [keyed, twin, certified] = await rest([`/devices/${id}`], [`/twins/${id}`], [`/devices/x509-${transport}`])
      expect(keyed).toMatchObject({ authentication: { type: 'sas', symmetricKey: { primaryKey: keyOf(id) } } })
      expect(twin).toMatchObject({ tags: { line: 7 }, properties: { desired: { speed: 3 } } })
      expect(certified).toMatchObject({ authentication: { type: 'selfSigned' } })
    },
  )

  test.each(tpmTransports)(
    'a device of the SDK for Node over %s gets its hub by its TPM, and the key for it',
    (transport) => {
      const id = `tpm-${transport}`
      const result = registered.get(id)
      const tpm = { authenticationKey: expect.any(String) }
      expect(result).toMatchObject({ registrationState: { assignedHub: hub, deviceId: id, tpm } })
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
