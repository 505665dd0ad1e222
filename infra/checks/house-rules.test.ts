/** The house rules that a machine can check (docs/ARCHITECTURE.md, "Layout"). */
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { errorTable } from '#schemas/errors.ts'
import { assertLimits } from '#schemas/limits.ts'
import { metricsTable } from '#schemas/metrics.ts'
import type { Setting } from '#schemas/setting.ts'
import { settingsTable } from '#schemas/settings.ts'
import { endpointsDocument } from './endpoints-document.ts'
import { longFunctions } from './long-functions.ts'
import { settingsDocument } from './settings-document.ts'
import { code, importsOf, isTest, root, text } from './sources.ts'

/** Parts in rank order; a part imports parts of a lower rank, and itself. */
const ranks: readonly (readonly string[])[] = [
  ['schemas'],
  ['runtime'],
  // What browsers load.
  ['console'],
  ['pipeline/kafka'],
  ['pipeline/log', 'pipeline/blobs', 'pipeline/endpoints', 'pipeline/routing', 'pipeline/warehouse', 'infra/testbed'],
  ['control', 'pipeline/reading'],
  ['ingest', 'pipeline/live', 'pipeline/sinks', 'pipeline/summaries', 'pipeline/workers', 'loadtest'],
  ['pipeline/operate'],
  ['infra'],
]

/** Each external library has one door: the folders (or files) that may import it. */
const doors: Readonly<Record<string, readonly string[]>> = {
  'mqtt-packet': ['ingest/mqtt'],
  avsc: ['schemas'],
  kafkajs: ['pipeline/kafka', 'pipeline/log/kafka', 'pipeline/sinks/kafka', 'loadtest/peers'],
  lmdb: ['pipeline/log/lmdb'],
  '@clickhouse/client': ['pipeline/warehouse', 'loadtest/peers'],
  chdb: ['pipeline/warehouse/embedded'],
  koffi: ['runtime/c-library.ts'],
  'uWebSockets.js': ['loadtest/peers'],
  undici: ['pipeline/sinks/http', 'infra/roles/pass-to-control.ts', 'infra/roles/passed-request.ts'],
  aws4fetch: ['pipeline/sinks/s3'],
  pg: ['control/store', 'pipeline/sinks/postgres'],
  'pg-copy-streams': ['pipeline/sinks/postgres'],
  '@electric-sql/pglite': ['control/store'],
  aedes: ['loadtest/peers'],
  'hdr-histogram-js': ['loadtest/ledger'],
  autocannon: ['loadtest/generate', 'loadtest/bench'],
  yaml: ['runtime/yaml'],
  preact: ['console'],
  '@codemirror/autocomplete': ['console/screens/sql/editor'],
  '@codemirror/commands': ['console/screens/sql/editor'],
  '@codemirror/lang-sql': ['console/screens/sql/editor'],
  '@codemirror/language': ['console/screens/sql/editor'],
  '@codemirror/state': ['console/screens/sql/editor'],
  '@codemirror/view': ['console/screens/sql/editor'],
  '@lezer/highlight': ['console/screens/sql/editor'],
  esbuild: ['infra/console'],
  // The parser of the test runner, for the tool that plants faults.
  vitest: ['infra/checks'],
  '@azure/event-hubs': ['infra/testbed'],
  'azure-iot-device': ['infra/testbed'],
  'azure-iot-device-amqp': ['infra/testbed'],
  'azure-iot-device-http': ['infra/testbed'],
  'azure-iot-device-mqtt': ['infra/testbed'],
  'azure-iothub': ['infra/testbed'],
  // Makes the boards that docs/grafana/ holds.
  '@grafana/grafana-foundation-sdk': ['infra/observability'],
  // Judges what the service API answers.
  ajv: ['infra/testbed'],
  'azure-iot-provisioning-device': ['infra/testbed'],
  'azure-iot-provisioning-device-amqp': ['infra/testbed'],
  'azure-iot-provisioning-device-http': ['infra/testbed'],
  'azure-iot-provisioning-device-mqtt': ['infra/testbed'],
  'azure-iot-provisioning-service': ['infra/testbed'],
  'azure-iot-security-symmetric-key': ['infra/testbed'],
  'azure-iot-security-x509': ['infra/testbed'],
  '@influxdata/influxdb-client': ['infra/testbed'],
  '@opentelemetry/exporter-metrics-otlp-proto': ['infra/testbed'],
  '@opentelemetry/sdk-metrics': ['infra/testbed'],
  mqtt: ['pipeline/sinks/mqtt', 'infra/testbed'],
  '@nats-io/transport-node': ['pipeline/sinks/nats'],
  '@nats-io/jetstream': ['pipeline/sinks/nats'],
  rhea: ['pipeline/sinks/amqp'],
}

/**
 * What others may import of control: its top, the port of each room, how values of a room travel between processes, and the texts in which
 * identities and credentials do.
 */
const controlDoors =
  /^control\/([\w-]+|([\w-]+)\/(\2|[\w-]+-json)|identities\/identity|trust\/owner-key|auth\/(sas-token|connection-string)|rest\/rights|provisioning\/derived-key)\.ts$/

/**
 * What its rooms may import of one another besides: the two that lie under all others, rows that others read or write
 * with their own, how certificates are judged, what jobs say again, and what a transfer is made of: a job, of many operations.
 */
const controlRoomDoors =
  /^control\/((store|rest)\/[\w-]+|identities\/(identity-rows|bulk-steps|documents)|auth\/certificates|twins\/(twin-rows|twin-document)|jobs\/(device-job-rows|job-rows|lease-rows|job-run)|methods\/method-request|downlink\/(downlink-contract|edge-finder))\.ts$/

/** What the console shares with the server: checks of JSON, and shapes of what crosses between them. */
const consoleDoors = /^(runtime\/json-check|schemas\/[\w/-]+)\.ts$/

function partOf(path: string): string {
  const holding = ranks.flat().filter((part) => path.startsWith(`${part}/`))
  return holding.sort((one, other) => other.length - one.length)[0] ?? ''
}

/** The top of control puts its rooms together, so it sees all of them, and none of them sees it. */
function expectControlDoor(file: string, path: string): void {
  const [from, to] = [dirname(file), dirname(path)]
  if (from === 'control' || from === to) return
  expect(to, path).not.toBe('control')
  if (!controlRoomDoors.test(path)) expect(path).toMatch(controlDoors)
}

/** What is longer has steps that want a name. */
const functionLinesMax = 60
/** Of markup, which is long without having steps. */
const markupLinesMax = 100

const rankOf = (part: string): number => ranks.findIndex((parts) => parts.includes(part))

describe('house rules', () => {
  test('there is code to check', () => {
    expect(code.length).toBeGreaterThan(30)
    expect(() => assertLimits()).not.toThrow()
  })

  test.each(code)('%s imports only what lies below it', (file) => {
    const own = partOf(file)
    for (const target of importsOf(file)) {
      if (target.startsWith('#')) {
        const path = target.slice(1)
        const other = partOf(path)
        expect(existsSync(join(root, path)), `${target} exists`).toBe(true)
        if (other === own) {
          if (own === 'control' && !isTest(file)) expectControlDoor(file, path)
          continue
        }
        // Tests of several parts together may reach down to real servers and up to nothing.
        const allowed = rankOf(other) < rankOf(own) || (isTest(file) && other === 'infra/testbed')
        expect(allowed, `${own} (rank ${rankOf(own)}) imports ${target} (rank ${rankOf(other)})`).toBe(true)
        if (other === 'control' && !isTest(file)) expect(path).toMatch(controlDoors)
        if (other === 'pipeline/log' && !isTest(file)) {
          expect(path).toMatch(
            /^pipeline\/log\/(log|log-copy|log-options|kafka-access|open\/open-log|growth\/(device-spread|earlier-delivered|grow-partitions))\.ts$/,
          )
        }
        if (own === 'console') expect(path, 'what runs in a browser too').toMatch(consoleDoors)
        expect(other, 'what runs in a browser').not.toBe('console')
        if (other === 'pipeline/endpoints' && !isTest(file)) expect(path).not.toMatch(/^pipeline\/endpoints\/memory\//)
        if (other === 'pipeline/warehouse' && !isTest(file)) {
          expect(path).toMatch(/^pipeline\/warehouse\/(warehouse|open-warehouse|embedded\/start-embedded)\.ts$/)
        }
      } else if (target.startsWith('.')) {
        const path = join(dirname(file), target)
        expect(partOf(path), `${target} stays inside ${own}`).toBe(own)
        if (own === 'control' && !isTest(file)) expectControlDoor(file, path)
      } else if (!target.startsWith('node:') && !isTest(file)) {
        const door =
          doors[target] ??
          doors[
            target
              .split('/')
              .slice(0, target.startsWith('@') ? 2 : 1)
              .join('/')
          ]
        expect(door, `library ${target} has a door`).toBeDefined()
        expect(
          door?.some((place) => file === place || file.startsWith(`${place}/`)),
          `${target} is imported through ${door}`,
        ).toBe(true)
      }
    }
  })

  test.each(code)('%s keeps to the form: no default export, bounded length, no open note', (file) => {
    const content = text(file)
    expect(content).not.toMatch(/^export default /m)
    expect(content.split('\n').length, 'lines').toBeLessThanOrEqual(isTest(file) ? 700 : 450)
    expect(content).not.toMatch(new RegExp(`\\b(${['TO', 'FIX'].join('DO|')}ME)\\b`))
  })

  test(`no function is longer than ${functionLinesMax} lines, none of markup than ${markupLinesMax}`, () => {
    const long = code
      .filter((file) => !isTest(file))
      .flatMap((file) =>
        longFunctions(
          text(file),
          file.endsWith('x') ? markupLinesMax : functionLinesMax,
          file.endsWith('x') ? 'tsx' : 'ts',
        ).map(({ line, lines }) => `${file}:${line} has ${lines} lines`),
      )
    expect(long).toEqual([])
  })

  test.each(code.filter(isTest))('%s waits as long as a busy machine needs', (file) => {
    const patienceMs = 30_000
    // Those without a time of their own wait one second.
    expect(text(file)).not.toMatch(/\bvi\.wait(For|Until)\((?![^;]*\btimeout: )/)
    const times = [...text(file).matchAll(/\{ timeout: ([\d_]+)/g)].map(([, ms = '']) => Number(ms.replaceAll('_', '')))
    expect(times.filter((ms) => ms < patienceMs)).toEqual([])
  })

  test('every setting is documented as the table says', () => {
    expect(
      text('docs/SETTINGS.md'),
      'run: node infra/run.js infra/checks/settings-document.ts > docs/SETTINGS.md',
    ).toBe(settingsDocument())
  })

  test('every kind of endpoint is documented as its table says', () => {
    expect(
      text('docs/ENDPOINTS.md'),
      'run: node infra/run.js infra/checks/endpoints-document.ts > docs/ENDPOINTS.md',
    ).toBe(endpointsDocument())
  })

  test('settings have one name each, and are all read somewhere', () => {
    const names = Object.values<Setting>(settingsTable).map(({ env }) => env)
    expect(new Set(names).size).toBe(names.length)
    const all = code
      .filter((file) => !file.startsWith('schemas/'))
      .map(text)
      .join('\n')
    for (const field of Object.keys(settingsTable))
      expect(new RegExp(`settings\\.${field}\\b`).test(all), field).toBe(true)
  })

  test('every error code is used, and every used code is in the table', () => {
    const all = code
      .filter((file) => file !== 'schemas/errors.ts' && !isTest(file))
      .map(text)
      .join('\n')
    for (const name of Object.keys(errorTable)) expect(all.includes(`'${name}'`), name).toBe(true)
  })

  test('every norm that code names is proven by a test that names it', () => {
    const normsOf = (files: readonly string[]) =>
      new Set(files.flatMap((file) => text(file).match(/\[MQTT-[\d.]+-\d+\]/g) ?? []))
    const proven = normsOf(code.filter((file) => isTest(file) && !file.startsWith('infra/checks/')))
    // The load generator is a test's tool itself.
    const named = normsOf(code.filter((file) => !isTest(file) && !file.startsWith('loadtest/')))
    expect(named.size).toBeGreaterThan(20)
    expect([...named].filter((norm) => !proven.has(norm))).toEqual([])
  })

  test('every metric is written somewhere and named by the rule', () => {
    const all = code
      .filter((file) => file !== 'schemas/metrics.ts')
      .map(text)
      .join('\n')
    for (const [name, { type }] of Object.entries(metricsTable)) {
      expect(name).toMatch(/^penstock_[a-z]+_[a-z0-9_]+$/)
      expect(name.endsWith('_total'), name).toBe(type === 'counter')
      if (type === 'histogram') expect(name.endsWith('_seconds'), name).toBe(true)
      expect(all.includes(`'${name}'`), name).toBe(true)
    }
  })
})
