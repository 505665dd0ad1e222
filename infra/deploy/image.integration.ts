/** The images of infra/deploy/Dockerfile: their stages carried out here, and their contents run as a container runs them. */
import { chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import mqtt from 'mqtt'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type BuiltImage, Container, ImageBuild, imageMissing } from '#infra/testbed/image.ts'
import { serverFor } from '#infra/testbed/require-server.ts'
import { freePorts } from '#runtime/free-ports.ts'

const here = serverFor('a root of its own', imageMissing)
const polled = { timeout: 60_000, interval: 50 }

describe.skipIf(here.skip)(`images ${here.note}`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'penstock-image-'))
  let build: ImageBuild
  let embedded: BuiltImage
  let cluster: BuiltImage

  beforeAll(() => {
    build = new ImageBuild(join(import.meta.dirname, 'Dockerfile'))
    embedded = build.build('embedded')
    cluster = build.build('cluster')
  })
  afterAll(() => {
    build?.remove()
    rmSync(folder, { recursive: true, force: true })
  })

  /** A folder of the image's user. */
  function volume(name: string, { config }: BuiltImage): string {
    const path = join(folder, name)
    mkdirSync(path, { mode: 0o700 })
    const [uid = 0, gid = 0] = config.user.split(':').map(Number)
    chownSync(path, uid, gid)
    return path
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
    expect(existsSync(join(cluster.root, 'opt/penstock/console/built/console.json'))).toBe(true)
  })

  test('the embedded one takes a message, has its row, and ends with 0: as its user, with a root that it cannot write', async () => {
    const [mqttPort, httpPort, clickhousePort] = (await freePorts(3)).map(String)
    const ports = {
      PENSTOCK_MQTT_PORT: `${mqttPort}`,
      PENSTOCK_HTTP_PORT: `${httpPort}`,
      PENSTOCK_CLICKHOUSE_PORT: `${clickhousePort}`,
    }
    const data = volume('embedded', embedded)
    const image = {
      ...embedded,
      config: { ...embedded.config, environment: { ...embedded.config.environment, ...ports } },
    }
    const container = new Container(image, { mounts: { [image.config.volumes[0] ?? '']: data } })
    try {
      await container.until(() => container.output.includes('Stop:  '))
      const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${mqttPort}`, { clientId: 'boxed' })
      await client.publishAsync('devices/boxed/messages/events/', 'in a box', { qos: 1 })
      await client.endAsync()
      const rows = () =>
        fetch(`http://127.0.0.1:${clickhousePort}`, {
          method: 'POST',
          body: "SELECT body FROM penstock.telemetry WHERE device_id = 'boxed'",
        }).then((answer) => answer.text())
      await expect.poll(rows, polled).toBe('in a box\n')
      await expect
        .poll(() => container.execute(image.config.healthCommand), polled)
        .toEqual({ code: 0, output: 'ready\n' })
      expect(container.execute(['id', '-u']).output).toBe('10001\n')
      expect(container.execute(['sh', '-c', 'touch /x /opt/penstock/x /tmp/x /usr/x']).output).toMatch(
        /(Read-only file system[\s\S]*){4}/,
      )
      expect(await container.stop(), container.output).toBe(0)
      expect(container.output).not.toMatch(/EROFS|EACCES|EPERM|level=error/)
      expect(readdirSync(data).sort()).toEqual(expect.arrayContaining(['log', 'warehouse']))
    } finally {
      await container.kill()
    }
  })
})
