import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { deviceIdOf, loadDefaults, runPrefix } from '#loadtest/options/load-options.ts'
import { commandLineOf } from './command-line.ts'
import { loadHelp } from './load-help.ts'

const faultsOfLine = (...args: string[]) => {
  try {
    commandLineOf(args, 0)
    return ''
  } catch (error) {
    expect(error).toMatchObject({ code: 'LOADTEST_OPTIONS_INVALID' })
    return (error as Error).message
  }
}

test('without options: the defaults, a run named by the time, and the embedded engine', () => {
  const { options, isHelp, jsonFile } = commandLineOf([], 1_700_000_000_000)
  expect(options).toEqual({ ...loadDefaults, run: 'loyw3v28', clickhouse: 'http://127.0.0.1:8123' })
  expect({ isHelp, jsonFile }).toEqual({ isHelp: false, jsonFile: undefined })
})

test('every option the help names is understood, and every understood one is in the help', () => {
  const args = [...loadHelp.matchAll(/^ {2}--([a-z-]+)/gm)].map(([, name]) => name as string)
  const value: Record<string, string> = {
    url: 'mqtt://h:1',
    protocol: '5',
    qos: '0',
    run: 'r',
    clickhouse: 'none',
    table: 'a.b',
    cpus: '0',
    'body-bytes': '100',
    'body-template': '{}',
    'quiet-seconds': '5',
    slo: 'puback_p99_ms=50',
    metrics: 'none',
    shape: 'ramp',
    'source-addresses': '127.0.0.2,127.0.0.3',
    registry: 'http://h:1',
  }
  for (const name of args) {
    // Files that are not there and a search without thresholds are faults of their own; unknown options read differently.
    const line = ['search', 'insecure'].includes(name) ? [`--${name}`] : [`--${name}`, value[name] ?? '1']
    expect(faultsOfLine(...line), name).not.toMatch(/unknown/i)
    if (!['search', 'workload', 'data-dir', 'agent-secret-file'].includes(name))
      expect(faultsOfLine(...line), name).toBe('')
  }
  expect(args.length).toBe(40)
})

test('all faults are named at once', () => {
  const faults = faultsOfLine(
    '--qos',
    '2',
    '--window',
    '65536',
    '--rate',
    'fast',
    '--url',
    'ftp://x',
    '--run',
    'a b',
    '--body-bytes',
    '47',
  )
  for (const name of ['qos', 'window', 'rate', 'url', 'run', 'body-bytes']) expect(faults).toContain(`--${name}`)
  expect(faultsOfLine('--nonsense')).toContain('nonsense')
  expect(faultsOfLine('--processes', '101')).toContain('1 to 100')
})

test('a body template says the size of bodies; a faulty one is refused with its place', () => {
  const template = `{"n": \${int(0,99)}}`
  expect(commandLineOf(['--body-template', template], 0).options).toMatchObject({
    bodyTemplate: template,
    bodyBytes: 45,
  })
  expect(faultsOfLine('--body-template', template, '--body-bytes', '50')).toContain('--body-bytes: the body template')
  expect(faultsOfLine('--body-template', `{"n": \${int(9)}}`)).toMatch(/^body template: character 7.*expected int/)
})

test('a rate of connects is of MQTT alone', () => {
  expect(commandLineOf(['--connect-rate', '50'], 0).options.connectRate).toBe(50)
  expect(faultsOfLine('--connect-rate', '50', '--url', 'http://h:1')).toContain('--connect-rate: not over HTTP')
  expect(faultsOfLine('--shape', 'slow', '--url', 'http://h:1')).toContain('slow reading: not over HTTP')
})

test('clickhouse none turns reconciliation off; rate knows saturate', () => {
  expect(commandLineOf(['--clickhouse', 'none', '--rate', 'saturate'], 0).options).toMatchObject({
    clickhouse: undefined,
    rate: 'saturate',
  })
})

test('device ids of a run have one width and its prefix', () => {
  expect(deviceIdOf('r1', 7)).toBe('load-r1-000007')
  expect(deviceIdOf('r1', 999_999).startsWith(runPrefix('r1'))).toBe(true)
})

test('a number of source addresses means that many of loopback; a search needs thresholds', () => {
  expect(commandLineOf(['--source-addresses', '3'], 0).options.sourceAddresses).toEqual([
    '127.0.0.1',
    '127.0.0.2',
    '127.0.0.3',
  ])
  expect(faultsOfLine('--source-addresses', 'here')).toContain('--source-addresses here')
  expect(faultsOfLine('--search')).toContain('--slo')
  expect(commandLineOf(['--search', '--slo', 'puback_p99_ms=50'], 0)).toMatchObject({ isSearch: true })
  expect(faultsOfLine('--slo', 'fast=1', '--shape', 'round')).toMatch(/fast=1[\s\S]*--shape round/)
})

test('agents are of loopback, or hold a secret; an agent takes no other option', () => {
  const folder = mkdtempSync(join(tmpdir(), 'penstock-options-'))
  const [file, short] = [join(folder, 'secret'), join(folder, 'short')]
  writeFileSync(file, 'a secret of 23 letters.\n')
  writeFileSync(short, 'too short\n')
  expect(commandLineOf(['--agent', '7700'], 0).agent).toEqual({ host: '127.0.0.1', port: 7700, secret: undefined })
  const secret = 'a secret of 23 letters.'
  expect(commandLineOf(['--agents', '10.0.0.1:7700,[fd00::1]:1', '--agent-secret-file', file], 0).agents).toEqual([
    { host: '10.0.0.1', port: 7700, secret },
    { host: 'fd00::1', port: 1, secret },
  ])
  expect(faultsOfLine('--agent', '0.0.0.0:7700')).toContain('--agent-secret-file')
  expect(faultsOfLine('--agents', '127.0.0.1:7700,10.0.0.1:7700')).toMatch(/^--agents 10.0.0.1:7700: beyond loopback/)
  expect(faultsOfLine('--agents', 'here,1:70000')).toMatch(/--agents here: expected host:port\n--agents 1:70000: exp/)
  expect(faultsOfLine('--agent', '7700', '--agent-secret-file', short)).toMatch(/at least 16 characters/)
  expect(faultsOfLine('--agent', '7700,7701')).toContain('expected host:port')
  expect(faultsOfLine('--agent', '7700', '--rate', '5')).toContain('--agent: takes only')
  rmSync(folder, { recursive: true })
})

test('what services begin needs the owner’s key, of which generators get a token', () => {
  const folder = mkdtempSync(join(tmpdir(), 'penstock-line-'))
  const file = join(folder, 'w.json')
  writeFileSync(
    file,
    '{"workloads":[{"name":"a","connections":1,"rate":1},{"name":"b","kind":"commands","connections":1,"rate":1}]}',
  )
  try {
    expect(faultsOfLine('--workload', file)).toBe(
      'workload b of commands: needs registered devices and a service, so --owner-key or --data-dir',
    )
    const ownerKey = Buffer.alloc(32, 7).toString('base64')
    const { workloads } = commandLineOf(['--workload', file, '--owner-key', ownerKey], Date.now())
    expect(workloads.map(({ kind }) => kind)).toEqual(['telemetry', 'commands'])
    expect(workloads[1]?.service?.token).toMatch(/^SharedAccessSignature sr=localhost&sig=/)
    expect(JSON.stringify(workloads)).not.toContain(ownerKey)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})
