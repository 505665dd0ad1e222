/** The programs of docs/DEVICES.md, as they stand there, against everything as a user runs it over TLS, in a network of their own. */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { formatConnectionString } from '#control/auth/connection-string.ts'
import { type DevelopmentCa, makeDevelopmentCa } from '#infra/commands/development-ca.ts'
import { namedBlock } from '#infra/testbed/document-blocks.ts'
import {
  javaSdkClassPath,
  javaSdkJars,
  javaSdkMissing,
  makeTrustStore,
  quickStart,
  trusting,
} from '#infra/testbed/java-sdk.ts'
import { mosquittoMissing } from '#infra/testbed/mosquitto.ts'
import { type Namespace, namespaceMissing, openNamespace } from '#infra/testbed/namespace.ts'
import { type RunningPenstock, startPenstock } from '#infra/testbed/penstock.ts'
import { pythonForDevices, pythonSdkMissing } from '#infra/testbed/python-sdk.ts'
import { serverFor } from '#infra/testbed/require-server.ts'

const hub = 'hub.penstock.test'
const ownerKey = randomBytes(32).toString('base64')
const network = serverFor('a network namespace', namespaceMissing)

const java = serverFor('Java', javaSdkMissing)
const libmosquittoMissing = () => (existsSync('/usr/include/mosquitto.h') ? undefined : 'no libmosquitto-dev')

/** Programs by the names of their files, and how each is run. */
const programs = {
  'device.mjs': { missing: () => undefined, command: [process.execPath, 'device.mjs'] },
  'plain.mjs': { missing: () => undefined, command: [process.execPath, 'plain.mjs'] },
  'device.py': { missing: pythonSdkMissing, command: [pythonForDevices, 'device.py'] },
  'Device.java': { missing: javaSdkMissing, command: ['java', ...quickStart, '-cp', javaSdkJars(), 'Device.java'] },
  'device.c': {
    missing: libmosquittoMissing,
    command: ['sh', '-c', 'cc device.c -o device -lmosquitto && exec ./device'],
  },
} as const

describe.skipIf(network.skip)(`devices of the documents ${network.note}`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'penstock-snippets-'))
  const running: ChildProcess[] = []
  let inside: Namespace
  let penstock: RunningPenstock
  let ca: DevelopmentCa
  const trustStore = join(folder, 'trust.p12')

  beforeAll(async () => {
    ca = makeDevelopmentCa({ dataDir: folder, hostNames: [hub], deviceIds: [], nowMs: Date.now() })
    inside = await openNamespace([hub])
    const settings = {
      PENSTOCK_IDENTITIES: 'required',
      PENSTOCK_HOSTNAME: hub,
      PENSTOCK_OWNER_KEY: ownerKey,
      PENSTOCK_TLS_CERT: ca.certFile,
      PENSTOCK_TLS_KEY: ca.keyFile,
      PENSTOCK_MQTTS_PORT: '8883',
      PENSTOCK_HTTPS_PORT: '443',
    }
    penstock = await startPenstock(join(folder, 'data'), settings, inside.through)
    symlinkSync(join(import.meta.dirname, '../../node_modules'), join(folder, 'node_modules'))
    for (const name of [...Object.keys(programs), 'device.sh', 'curl.sh'])
      writeFileSync(join(folder, name), namedBlock('docs/DEVICES.md', name))
    if (java.skip) return
    await javaSdkClassPath()
    makeTrustStore(trustStore, ca.caFile)
  })
  afterEach(() => {
    // With what they started, if anything is left of them.
    for (const { pid } of running.splice(0)) {
      try {
        if (pid !== undefined) process.kill(-pid, 'SIGKILL')
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
      }
    }
  })
  afterAll(async () => {
    await penstock?.stop()
    await inside?.close()
    rmSync(folder, { recursive: true, force: true })
  })

  const tokenFunction = `${namedBlock('docs/DEVICES.md', 'curl.sh').split('\n}\n')[0]}\n}\n`

  function environmentOf(deviceId: string, key: string): Record<string, string> {
    return {
      HUB: hub,
      DEVICE: deviceId,
      KEY: key,
      CONNECTION_STRING: formatConnectionString({ hostName: hub, deviceId, sharedAccessKey: key }),
      CA_FILE: ca.caFile,
      NODE_EXTRA_CA_CERTS: ca.caFile,
      SSL_CERT_FILE: ca.caFile,
      JAVA_TOOL_OPTIONS: trusting(trustStore).join(' '),
      POLICY: 'iothubowner',
      POLICY_KEY: ownerKey,
    }
  }

  /** Runs lines of a service in a shell. */
  function asService(environment: Record<string, string>, lines: string): Promise<string> {
    return inside.run('sh', ['-ec', `${tokenFunction}${lines}`], { environment })
  }

  /** Registers the device as a service does, with a key of its own. */
  async function registered(deviceId: string): Promise<Record<string, string>> {
    const key = randomBytes(32).toString('base64')
    const environment = environmentOf(deviceId, key)
    const symmetricKey = { primaryKey: key, secondaryKey: key }
    const body = JSON.stringify({ deviceId, authentication: { type: 'sas', symmetricKey } })
    const [head] = namedBlock('docs/DEVICES.md', 'service.sh').split('service "https')
    await asService(environment, `${head}service -X PUT "https://$HUB/devices/$DEVICE" --data '${body}'`)
    return environment
  }

  /** Starts a program, and gives what it has said so far. */
  function started(command: readonly string[], environment: Record<string, string>): () => string {
    // The way inside leads to the root folder.
    const [program = '', ...args] = [...inside.through, '--', 'sh', '-c', 'cd "$0" && exec "$@"', folder, ...command]
    const child = spawn(program, args, { env: { ...process.env, ...environment }, detached: true })
    running.push(child)
    let said = ''
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (text) => {
        said += text
      })
    return () => said
  }

  const untilSaid = (said: () => string, text: string | RegExp): Promise<void> =>
    expect.poll(said, { timeout: 30_000, interval: 20 }).toMatch(text)

  const service = namedBlock('docs/DEVICES.md', 'service.sh')

  for (const [name, { missing, command }] of Object.entries(programs)) {
    const server = serverFor(name, missing)
    test.skipIf(server.skip)(
      `${name}: sends, reports, hears what it is to be, gets a command and answers a method ${server.note}`,
      async () => {
        const environment = await registered(name.replace('.', '-'))
        const said = started(command, environment)
        await untilSaid(said, 'sent')
        await untilSaid(said, 'reported ok')
        const answer = await asService(environment, `${service}\n${namedBlock('docs/DEVICES.md', 'call.sh')}`)
        expect(answer).toMatch(/"firmware":"1\.4\.2"/)
        expect(answer).toMatch(/\{"status":200,"payload":\{"accepted": ?true\}\}/)
        await untilSaid(said, 'command {"valve":"open"}')
        await untilSaid(said, /desired .*"interval": ?30/)
        expect(said()).toMatch(/method \{"delay": ?5\}/)
      },
    )
  }

  const mosquitto = serverFor('mosquitto', mosquittoMissing)
  test.skipIf(mosquitto.skip)(`device.sh: sends, reports, and gets what is for it ${mosquitto.note}`, async () => {
    const environment = await registered('device-sh')
    const said = started(['sh', 'device.sh'], environment)
    await untilSaid(said, 'sent')
    await expect
      .poll(() => asService(environment, service.replace(/^service .*(messages|PATCH).*$/gm, '')), { timeout: 30_000 })
      .toContain('"firmware":"1.4.2"')
    await asService(environment, service)
    await untilSaid(said, /messages\/devicebound\/.* \{"valve":"open"\}/)
    await untilSaid(said, /properties\/desired\/\?\$version=\d+ \{"interval":30/)
  })

  test('curl.sh: sends, and fetches a command, which is then done with', async () => {
    const environment = await registered('device-curl')
    const said = started(['sh', '-e', 'curl.sh'], environment)
    await untilSaid(said, 'sent')
    await asService(environment, service)
    await untilSaid(said, 'command {"valve":"open"}')
    const [head] = service.split('service "https')
    await expect
      .poll(() => asService(environment, `${head}service "https://$HUB/devices/$DEVICE"`), { timeout: 30_000 })
      .toContain('"cloudToDeviceMessageCount":0')
  })
})
