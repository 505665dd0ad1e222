import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { openRoutingStore } from '#control/open-routing.ts'
import { openRoleLog } from '#infra/roles/open-role-log.ts'
import { batchOfBlocks, json, message } from '#pipeline/routing/select/batches-fixture.ts'
import { silentLogger } from '#runtime/logger.ts'
import { settingsFromEnvironment } from '#runtime/settings.ts'
import { partitionOfDevice } from '#schemas/partition.ts'
import { emptyRouting } from '#schemas/routing/routing.ts'
import { routesCommand } from './routes.ts'

const dataDir = mkdtempSync(join(tmpdir(), 'penstock-explain-'))
const settings = settingsFromEnvironment({ PENSTOCK_DATA_DIR: dataDir, PENSTOCK_LOG_LEVEL: 'error' })
const minuteMs = 60_000

async function appendMessages(nowMs: number): Promise<void> {
  const log = await openRoleLog(settings, silentLogger)
  try {
    const body = Buffer.from('{"temperature":31,"note":"\\u001b[2J"}')
    const properties = { level: 'high' }
    const envelopes = [
      message({ enqueuedAtMs: nowMs - 30 * minuteMs, body, properties, systemProperties: json }),
      message({ enqueuedAtMs: nowMs - minuteMs, body, properties, systemProperties: json }),
      message({ enqueuedAtMs: nowMs - minuteMs, body, properties, deviceId: 'press-2' }),
      message({ enqueuedAtMs: nowMs - minuteMs, body, systemProperties: json, deviceId: 'press-2' }),
    ]
    for (const [sequence, envelope] of envelopes.entries()) {
      const { enqueuedAtMs } = envelope
      const times = { enqueuedAtMsFirst: enqueuedAtMs, enqueuedAtMsLast: enqueuedAtMs }
      const stamp = { schemaVersion: 1, edgeId: 'e', epoch: 1, sequence, messageCount: 1, ...times }
      const partition = partitionOfDevice(Buffer.from(envelope.deviceId), log.partitionCount)
      await log.append(partition, stamp, batchOfBlocks([[envelope]]))
    }
  } finally {
    await log.close()
  }
}

async function writeRoutes(): Promise<void> {
  const store = await openRoutingStore({ dataDir, postgresUrl: undefined, logger: silentLogger })
  const condition = "level = 'high' AND $body.temperature > 30"
  const route = { source: 'DeviceMessages', endpointNames: ['archive'], isEnabled: true } as const
  const routes = [
    { ...route, name: 'hot', condition },
    { ...route, name: 'idle', condition, isEnabled: false },
  ]
  const fallbackRoute = { name: '$fallback', condition: 'true', endpointNames: ['events'], isEnabled: true }
  try {
    await store.write({ ...emptyRouting, routes, fallbackRoute }, undefined)
  } finally {
    await store.close()
  }
}

async function explain(...args: readonly string[]): Promise<string> {
  const written: string[] = []
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => written.push(String(text)) > 0)
  expect(await routesCommand.run(settings, ['explain', ...args])).toBeUndefined()
  vi.restoreAllMocks()
  return written.join('')
}

beforeAll(async () => {
  await appendMessages(Date.now())
  await writeRoutes()
})
afterEach(() => vi.restoreAllMocks())
afterAll(() => rmSync(dataDir, { recursive: true, force: true }))

describe('penstock routes explain', () => {
  test('says what the routes in force make of the last minutes, with reasons, without a running installation', async () => {
    const text = await explain('--minutes', '10')
    expect(text).toMatch(/^3 messages from \S+, of 3 batches, [\d,]+ bytes of the log\n/)
    expect(text).toMatch(
      /^hot +1 +0 +2 +[\d,]+ +archive\n {2}(property-absent|content-type) +1\n {2}(property-absent|content-type) +1\n/m,
    )
    expect(text).toMatch(/^idle +off$/m)
    expect(text).toMatch(/^\$fallback +2 +0 +0 +0 +events$/m)
    expect(text).toMatch(/^archive +1 +\d+$/m)
    expect(text).toMatch(/^events +2 +\d+$/m)
    expect(text).not.toContain('press')
  })

  test('shows messages on demand, of one device and one condition, and nothing that steers a terminal', async () => {
    const condition = '$body.temperature > 30'
    const text = await explain('--condition', condition, '--device', 'press-2', '--samples', '5')
    expect(text).toMatch(/^2 messages /)
    expect(text).toMatch(/^condition is undefined \(content-type\): press-2, \S+Z, penstock\.telemetry\/\d\/0\/0$/m)
    expect(text).toMatch(/^condition is true: press-2, \S+Z, penstock\.telemetry\/\d\/1\/0$/m)
    expect(text).toContain('  $body.temperature is 31\n  $body.temperature > 30 is true\n')
    expect(text).toContain('  $body.temperature is undefined (content-type)\n')
    expect(text).not.toContain('press-1')
    expect(text).not.toContain('\u001b')
  })

  test('says it as JSON', async () => {
    const { read, routes } = JSON.parse(await explain('--json', '--minutes', '60'))
    expect(read).toMatchObject({ messages: 4, records: 4 })
    expect(routes.map(({ name }: { name: string }) => name)).toEqual(['hot', 'idle', '$fallback'])
  })

  test.each([
    [['--minutes', 'x'], /--minutes is a number from 0 to/],
    [['--samples', '11'], /--samples is a number from 0 to 10/],
    [['--condition', 'level ='], /error: condition line 1 column \d: /],
    [['more'], /more is not expected/],
  ])('refuses %j with what is allowed', async (args, expected) => {
    const refused = expect(routesCommand.run(settings, ['explain', ...args])).rejects
    await refused.toMatchObject({ code: 'CONTROL_COMMAND_INVALID', message: expect.stringMatching(expected) })
  })
})
