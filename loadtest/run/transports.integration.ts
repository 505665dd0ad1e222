/** The generator over every transport, against a whole Penstock that asks devices who they are. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type RunningPenstock, startPenstock } from '#infra/testbed/penstock.ts'
import { templateBody } from '#loadtest/generate/body-template.ts'
import { ownerKeyOf, registerDevices } from '#loadtest/generate/register-devices.ts'
import { queryRows } from '#loadtest/observe/query-rows.ts'
import { type LoadOptions, loadDefaults, runPrefix } from '#loadtest/options/load-options.ts'
import { startAckSink } from '#loadtest/peers/ack-sink.ts'
import { workloadsOfShape } from '#loadtest/workload/shapes.ts'
import { makeCertificate } from '#runtime/certificate-maker.ts'
import { runWorkloads } from './run-load.ts'

describe('every transport', () => {
  const folder = mkdtempSync(join(tmpdir(), 'penstock-transports-'))
  const certFile = join(folder, 'cert.pem')
  const addresses = new Map<string, string>()
  let penstock: RunningPenstock

  beforeAll(async () => {
    const { certificatePem, privateKeyPem } = makeCertificate({
      commonName: 'localhost',
      notBeforeMs: Date.now() - 60_000,
      notAfterMs: Date.now() + 3_600_000,
      hosts: ['localhost', '127.0.0.1'],
      use: 'server',
    })
    writeFileSync(certFile, certificatePem)
    writeFileSync(join(folder, 'key.pem'), privateKeyPem)
    penstock = await startPenstock(join(folder, 'data'), {
      PENSTOCK_IDENTITIES: 'required',
      PENSTOCK_TLS_CERT: certFile,
      PENSTOCK_TLS_KEY: join(folder, 'key.pem'),
      PENSTOCK_MQTTS_PORT: '0',
      PENSTOCK_AMQPS_PORT: '0',
      PENSTOCK_HTTPS_PORT: '0',
    })
    for (const [url, scheme, host] of penstock.output().matchAll(/(mqtts?|amqps|https?):\/\/([^\s/]+)/g))
      if (scheme && host && !url.includes(new URL(penstock.clickhouseUrl).host) && !addresses.has(scheme))
        addresses.set(scheme, host)
  }, 180_000)

  afterAll(async () => {
    await penstock?.stop()
    rmSync(folder, { recursive: true, force: true })
  }, 60_000)

  test.each([
    ['mqtt', 'mqtt'],
    ['mqtts', 'mqtts'],
    ['ws', 'http'],
    ['wss', 'https'],
    ['amqps', 'amqps'],
    ['amqps', 'amqps', 3],
    ['amqp+ws', 'http'],
    ['amqp+wss', 'https'],
    ['http', 'http'],
    ['https', 'https'],
  ] as [scheme: string, listener: string, sharing?: number][])(
    '%s: registered devices are let in, and every acknowledged message is one row in order',
    async (scheme, listener, sharing) => {
      const devicesPerConnection = sharing ?? 1
      const options: LoadOptions = {
        ...loadDefaults,
        url: `${scheme}://${addresses.get(listener)}`,
        clickhouse: penstock.clickhouseUrl,
        run: `t${scheme.replace('+', '')}${devicesPerConnection}`,
        devicesPerConnection,
        connections: 6,
        rate: 600,
        // On a busy machine handshakes alone may take a second.
        seconds: 3,
        tlsCaFile: certFile,
        sourceAddresses: ['127.0.0.1', '127.0.0.2'],
        // What is in flight is sent again.
        storms: scheme === 'amqps' ? [{ atSeconds: 1.5, share: 0.5 }] : [],
      }
      const ownerKey = ownerKeyOf(undefined, join(folder, 'data')) ?? ''
      const registered = await registerDevices([options], { url: penstock.httpUrl, ownerKey, hostName: 'localhost' })
      const result = await runWorkloads([{ ...options, deviceKeySecret: registered.secret }], {
        observe: { metricsUrl: `${penstock.httpUrl}/metrics` },
      })
      await registered.remove()
      expect(result.reconciliation).toMatchObject({ lost: 0, repeated: 0, outOfOrder: 0, isClean: true })
      expect(result.reconciliation?.acknowledged).toBeGreaterThan(100)
      expect(result.target?.onLog).toBeGreaterThanOrEqual(result.reconciliation?.acknowledged ?? 0)
      expect(JSON.stringify(result)).not.toContain(registered.secret)
    },
    60_000,
  )

  test.each([
    ['mqtt', 'mqtt'],
    ['wss', 'https'],
  ] as const)(
    '%s: devices that don’t read their PUBACKs for a while go on where they were, and the others never notice',
    async (scheme, listener) => {
      const options: LoadOptions = {
        ...loadDefaults,
        url: `${scheme}://${addresses.get(listener)}`,
        clickhouse: penstock.clickhouseUrl,
        run: `slow${scheme}`,
        connections: 20,
        rate: 2_000,
        window: 20,
        seconds: 6,
        tlsCaFile: certFile,
      }
      const workloads = workloadsOfShape('slow', options)
      const ownerKey = ownerKeyOf(undefined, join(folder, 'data')) ?? ''
      const registered = await registerDevices(workloads, { url: penstock.httpUrl, ownerKey, hostName: 'localhost' })
      const result = await runWorkloads(workloads.map((each) => ({ ...each, deviceKeySecret: registered.secret })))
      await registered.remove()
      expect(result.reconciliation).toMatchObject({ lost: 0, repeated: 0, outOfOrder: 0, resent: 0, isClean: true })
      expect(result.connections.lost).toBe(0)
      const [reading, slow] = result.workloads
      expect(slow?.counts.settled).toBe(slow?.counts.offered)
      expect(slow?.acknowledged.summary.maxMs).toBeGreaterThan(900)
      // A third of the run is not read. What of it reached the others would show in far more than a tenth of their messages.
      expect(reading?.acknowledged.summary.p90Ms).toBeLessThan((slow?.acknowledged.summary.p90Ms ?? 0) / 2)
    },
    60_000,
  )

  test('bodies of a template arrive with their values, and the ledger reconciles, over MQTT and HTTP', async () => {
    const line: LoadOptions = {
      ...loadDefaults,
      ...templateBody(`{"t": \${float(18,26,1)}, "door": \${choice(open,closed)}}`),
      clickhouse: penstock.clickhouseUrl,
      run: 'template',
      connections: 3,
      rate: 300,
      seconds: 1,
    }
    const workloads = ['mqtt', 'http'].map((scheme, index) => {
      return { ...line, url: `${scheme}://${addresses.get(scheme)}`, workload: scheme, firstDevice: index * 3 }
    })
    const ownerKey = ownerKeyOf(undefined, join(folder, 'data')) ?? ''
    const registered = await registerDevices(workloads, { url: penstock.httpUrl, ownerKey, hostName: 'localhost' })
    const result = await runWorkloads(workloads.map((each) => ({ ...each, deviceKeySecret: registered.secret })))
    await registered.remove()
    expect(result.reconciliation).toMatchObject({ lost: 0, repeated: 0, outOfOrder: 0, isClean: true })
    for (const { counts } of result.workloads) expect(counts.settled).toBeGreaterThan(50)
    const [row] = await queryRows(
      penstock.clickhouseUrl,
      `SELECT count(), countIf(JSONExtractFloat(body, 't') BETWEEN 18 AND 26),
         arraySort(groupUniqArray(JSONExtractString(body, 'door'))) FROM ${line.table} WHERE startsWith(device_id, {run:String})`,
      { run: runPrefix(line.run) },
    )
    const rows = result.reconciliation?.rows
    expect(row).toEqual([rows, rows, ['closed', 'open']])
  }, 60_000)

  test('a device that is not registered is refused, and the reason told', async () => {
    const options = { ...loadDefaults, url: `mqtt://${addresses.get('mqtt')}`, run: 'nobody', connections: 1 }
    await expect(runWorkloads([{ ...options, connectMsMax: 500 }])).rejects.toMatchObject({
      code: 'LOADTEST_TARGET_UNREACHABLE',
      message: expect.stringContaining('refused'),
    })
  })
})

describe('shapes against the acknowledging sink', () => {
  test.each(['ramp', 'spike', 'hot', 'noisy', 'storm', 'slow'] as const)(
    '%s: what is offered is sent and acknowledged, once',
    async (shape) => {
      const sink = await startAckSink(0)
      const options = {
        ...loadDefaults,
        url: `mqtt://127.0.0.1:${sink.port}`,
        run: 'shape',
        connections: 20,
        processes: 2,
        rate: 3_000,
        seconds: 2,
      }
      try {
        const result = await runWorkloads(workloadsOfShape(shape, options))
        const { offered, sent, settled } = result.counts.atEnd
        expect(offered).toBeGreaterThan(2_900)
        expect({ sent, settled }).toEqual({ sent: offered, settled: offered })
        expect(result.workloads.length).toBe(['noisy', 'slow'].includes(shape) ? 2 : 1)
        expect(result.connections.lost > 0).toBe(shape === 'storm')
        expect(result.timeline.length).toBeGreaterThan(0)
      } finally {
        await sink.close()
      }
    },
    30_000,
  )
})
