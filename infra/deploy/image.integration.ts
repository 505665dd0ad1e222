/**
 * The images of infra/deploy/Dockerfile: their stages carried out here, and their contents run as containers run them; with the settings
 * and commands of docs/OPERATIONS.md.
 */
import { execFileSync } from 'node:child_process'
import {
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import mqtt from 'mqtt'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parseConnectionString } from '#control/auth/connection-string.ts'
import { createSasToken } from '#control/auth/sas-token.ts'
import { makeDevelopmentCa } from '#infra/commands/development-ca.ts'
import { blocksOf, namedBlock } from '#infra/testbed/document-blocks.ts'
import { type BuiltImage, Container, ImageBuild, imageMissing } from '#infra/testbed/image.ts'
import { startKafka } from '#infra/testbed/kafka.ts'
import { kafkaMissing } from '#infra/testbed/kafka-jars.ts'
import { postgresMissing, startPostgres } from '#infra/testbed/postgres.ts'
import { serverFor } from '#infra/testbed/require-server.ts'
import { freePorts } from '#runtime/free-ports.ts'

const here = serverFor('a root of its own', imageMissing)
const servers = serverFor('Kafka and PostgreSQL', () => kafkaMissing() ?? postgresMissing())
const document = 'docs/OPERATIONS.md'
const polled = { timeout: 60_000, interval: 50 }

describe.skipIf(here.skip)(`images ${here.note}`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'penstock-image-'))
  const running: Container[] = []
  let build: ImageBuild
  let embedded: BuiltImage
  let cluster: BuiltImage

  beforeAll(() => {
    build = new ImageBuild(join(import.meta.dirname, 'Dockerfile'))
    embedded = build.build('embedded')
    cluster = build.build('cluster')
  }, 240_000)
  afterAll(async () => {
    await Promise.all(running.map((container) => container.kill()))
    build?.remove()
    rmSync(folder, { recursive: true, force: true })
  })

  function started(
    image: BuiltImage,
    settings: Record<string, string>,
    mounts: Record<string, string>,
    args?: string[],
  ) {
    const container = new Container(image, settings, mounts, args)
    running.push(container)
    return container
  }

  /** A folder of the images' user. */
  function volume(name: string): string {
    const path = join(folder, name)
    mkdirSync(path, { mode: 0o700 })
    giveToUser(path)
    return path
  }

  function giveToUser(path: string): void {
    const [uid = 0, gid = 0] = cluster.config.user.split(':').map(Number)
    chownSync(path, uid, gid)
    for (const entry of readdirSync(path, { recursive: true, encoding: 'utf8' })) chownSync(join(path, entry), uid, gid)
  }

  test('have no tools of development, no tests and no program of another platform', () => {
    const packages = ({ root }: BuiltImage) =>
      readdirSync(join(root, 'opt/penstock/node_modules'), { recursive: true, encoding: 'utf8' })
    const foreign =
      /^(vitest|typescript|uWebSockets\.js|node-linux-\w+|esbuild|@biomejs\/.*)$|(darwin|win32|musl)-?\w*\//
    expect(packages(embedded).filter((path) => foreign.test(path))).toEqual([])
    for (const name of ['chdb', 'lmdb', 'koffi', '@electric-sql/pglite']) {
      expect(packages(embedded), name).toContain(name)
      expect(packages(cluster), name).not.toContain(name)
    }
    const files = readdirSync(join(cluster.root, 'opt/penstock'), { recursive: true, encoding: 'utf8' })
    const ours = files.filter((path) => !path.startsWith('node_modules'))
    expect(ours.filter((path) => /\.(test|integration|fault)\.ts$|testbed|^\.git|^data/.test(path))).toEqual([])
    for (const made of ['console/built/console.json', '.cache/stripped/infra/penstock.ts'])
      expect(existsSync(join(cluster.root, 'opt/penstock', made)), made).toBe(true)
  })

  test('the embedded one takes a message and has its row, as its user, on a root that it cannot write; told to end, it ends with 0', {
    timeout: 240_000,
  }, async () => {
    const [mqttPort, httpPort, clickhousePort] = await freePorts(3)
    const settings = {
      PENSTOCK_MQTT_PORT: `${mqttPort}`,
      PENSTOCK_HTTP_PORT: `${httpPort}`,
      PENSTOCK_CLICKHOUSE_PORT: `${clickhousePort}`,
      PENSTOCK_PARTITIONS: '2',
    }
    const data = volume('embedded')
    const mounts = { [embedded.config.volumes[0] ?? '']: data, '/backups': volume('backups') }
    const container = started(embedded, settings, mounts)
    await container.until(() => container.output.includes('Stop:  '))
    const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${mqttPort}`, { clientId: 'boxed' })
    await client.publishAsync('devices/boxed/messages/events/', 'in a box', { qos: 1 })
    await client.endAsync()
    await expect.poll(() => bodiesAt(`http://127.0.0.1:${clickhousePort}`), polled).toBe('in a box\n')
    const health = () => container.execute(embedded.config.healthCommand)
    await expect.poll(health, polled).toEqual({ code: 0, output: 'ready\n' })
    expect(await (await fetch(`http://127.0.0.1:${httpPort}/`)).text(), 'the console').toContain('<script')
    expect(container.execute(['id', '-u']).output).toBe('10001\n')
    const places = ['/x', '/opt/penstock/x', '/tmp/x', '/usr/x', '/usr/local/x']
    const refused = container.execute(['touch', ...places]).output.match(/Read-only file system/g)
    expect(refused).toHaveLength(places.length)
    // What the document tells to run, each once.
    const blocks = blocksOf(document).filter(({ info }) => info === 'sh run')
    const lines = new Set(blocks.flatMap(({ text }) => text.trim().split('\n')))
    expect(lines.size).toBeGreaterThan(8)
    for (const line of lines) {
      const { code, output } = container.execute(['sh', '-ec', line])
      expect({ line, code, output }).toMatchObject({ code: 0 })
    }
    expect(await container.stop(), container.output).toBe(0)
    expect(container.output).not.toMatch(/EROFS|EACCES|EPERM/)
    expect(readdirSync(data)).toEqual(expect.arrayContaining(['log', 'warehouse']))
  })

  test.skipIf(servers.skip)(
    `roles of a cluster run apart beside Kafka, ClickHouse and PostgreSQL, as the document has it ${servers.note}`,
    { timeout: 240_000 },
    async () => {
      const [kafka, postgres] = await Promise.all([startKafka(), startPostgres()])
      try {
        await runApart(kafka.bootstrap, postgres.url)
      } finally {
        await Promise.all([kafka.stop(), postgres.stop()])
      }
    },
  )

  async function runApart(kafka: string, postgresUrl: string): Promise<void> {
    const ports = await freePorts(16)
    const port = (): string => String(ports.pop())
    const etc = etcOf(postgresUrl)
    const mounts = (name: string) => ({ '/var/lib/penstock': volume(name), '/etc/penstock': etc })
    const [clickhousePort, controlPort] = [port(), port()]
    const clickhouseUrl = `http://127.0.0.1:${clickhousePort}`
    // The embedded engine stands in for the server: it speaks the same protocol.
    const passwords = { PENSTOCK_CLICKHOUSE_PASSWORD: 'writes', PENSTOCK_CLICKHOUSE_READONLY_PASSWORD: 'reads' }
    const engine = { PENSTOCK_CLICKHOUSE_PORT: clickhousePort, ...passwords }
    started(embedded, engine, { '/var/lib/penstock': volume('engine') }, ['warehouse'])
    const settingsOf = (httpsPort: string, mqttsPort: string) => ({
      PENSTOCK_CONFIG: '/etc/penstock/penstock.conf',
      // The document's servers are here.
      PENSTOCK_BIND: '127.0.0.1',
      PENSTOCK_KAFKA_BROKERS: kafka,
      PENSTOCK_KAFKA_REPLICAS: '1',
      PENSTOCK_CLICKHOUSE_URL: clickhouseUrl,
      PENSTOCK_CLICKHOUSE_USER: 'default',
      PENSTOCK_CONTROL_URL: `https://localhost:${controlPort}`,
      // All on one machine.
      PENSTOCK_HTTP_PORT: port(),
      PENSTOCK_HTTPS_PORT: httpsPort,
      PENSTOCK_MQTTS_PORT: mqttsPort,
      PENSTOCK_MQTT_PORT: '0',
      PENSTOCK_AMQPS_PORT: '0',
    })
    const lines = namedBlock(document, 'roles.sh').trim().split('\n')
    const mqttsPorts = [port(), port()]
    const start = (line: string, name: string, httpsPort = '0', mqttsPort = '0') =>
      started(cluster, settingsOf(httpsPort, mqttsPort), mounts(name), line.split(' ').slice(1))
    const [control, worker, router, edge] = lines.map((line) => {
      const role = line.split(' ')[1] ?? ''
      return start(line, role, role === 'control' ? controlPort : '0', mqttsPorts[0])
    }) as [Container, Container, Container, Container]
    const another = start('penstock edge --index 1', 'edge-1', '0', mqttsPorts[1])
    const all = { control, worker, router, edge, another }
    const health = (container: Container) => container.execute(cluster.config.healthCommand).code
    for (const container of Object.values(all)) await container.until(() => health(container) === 0)

    expect(control.execute(['penstock', 'devices', 'create', 'boxed'])).toMatchObject({ code: 0 })
    const connection = control.execute(['penstock', 'devices', 'connection-string', 'boxed']).output.trim()
    await publishAsDevice(connection, mqttsPorts[0] ?? '', 'first', join(etc, 'tls/ca.pem'))
    await publishAsDevice(connection, mqttsPorts[1] ?? '', 'second', join(etc, 'tls/ca.pem'))
    await expect.poll(() => bodiesAt(clickhouseUrl, 'writes'), polled).toBe('first\nsecond\n')
    expect(worker.execute(['penstock', 'verify'])).toMatchObject({ code: 0 })
    for (const [name, container] of Object.entries(all))
      expect(await container.stop(), `${name} ${container.output}`).toBe(0)
  }

  /** `/etc/penstock` as the document makes it. */
  function etcOf(postgresUrl: string): string {
    const etc = join(folder, 'etc')
    mkdirSync(etc)
    execFileSync('sh', ['-ec', namedBlock(document, 'secrets.sh').replaceAll('/etc/penstock', etc)])
    writeFileSync(join(etc, 'secrets/clickhouse-password'), 'writes\n')
    writeFileSync(join(etc, 'secrets/postgres-url'), `${postgresUrl}\n`)
    writeFileSync(join(etc, 'penstock.conf'), namedBlock(document, 'penstock.conf'))
    makeDevelopmentCa({ dataDir: etc, hostNames: ['hub.example.com'], deviceIds: [], nowMs: Date.now() })
    giveToUser(etc)
    return etc
  }
})

async function publishAsDevice(connection: string, port: string, body: string, caFile: string): Promise<void> {
  const { hostName, deviceId = '', sharedAccessKey: key } = parseConnectionString(connection)
  const client = await mqtt.connectAsync(`mqtts://localhost:${port}`, {
    clientId: deviceId,
    username: `${hostName}/${deviceId}/?api-version=2021-04-12`,
    password: createSasToken({
      scope: `${hostName}/devices/${deviceId}`,
      key: key ?? '',
      expiresAtMs: Date.now() + 600_000,
    }),
    ca: readFileSync(caFile, 'utf8'),
  })
  await client.publishAsync(`devices/${deviceId}/messages/events/`, body, { qos: 1 })
  await client.endAsync()
}

async function bodiesAt(url: string, password = ''): Promise<string> {
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'X-ClickHouse-User': 'default', 'X-ClickHouse-Key': password },
    body: "SELECT body FROM penstock.telemetry WHERE device_id = 'boxed' ORDER BY enqueued_at",
  })
  return answer.text()
}
