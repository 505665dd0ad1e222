/** The command line of a load run (`load-help.ts`). */
import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { ownerToken, type RestAccess } from '#control/client/client.ts'
import type { AgentAddress } from '#loadtest/agents/agent-socket.ts'
import { bodyBytesMin, sequencesMax } from '#loadtest/generate/body-layout.ts'
import { templateBody } from '#loadtest/generate/body-template.ts'
import { ownerKeyOf } from '#loadtest/generate/register-devices.ts'
import { packetIds } from '#loadtest/ledger/ledger.ts'
import { LineReader } from '#loadtest/options/line-reader.ts'
import {
  connectRateMax,
  devicesPerConnectionMax,
  faultsOf,
  type LoadOptions,
  loadDefaults,
  processesMax,
  type ServiceAccess,
  secondsMax,
} from '#loadtest/options/load-options.ts'
import { isLocal } from '#loadtest/options/target-address.ts'
import { type Threshold, thresholdsOf } from '#loadtest/result/slo.ts'
import { shapeNames, workloadsOfShape } from '#loadtest/workload/shapes.ts'
import { workloadFileAt, workloadsOf } from '#loadtest/workload/workload-file.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { secretLengthMin } from './load-help.ts'

/** As long as the longest run, and a day. */
const tokenMs = (secondsMax + 86_400) * 1000

export interface CommandLine {
  readonly options: LoadOptions
  /** What runs: the options alone, or as shape or workload file say. */
  readonly workloads: readonly LoadOptions[]
  readonly isSearch: boolean
  /** Where devices are registered first; undefined: they are not. */
  readonly registry: RestAccess | undefined
  readonly jsonFile: string | undefined
  /** Undefined: no report. */
  readonly reportFile: string | undefined
  readonly compareFile: string | undefined
  readonly metricsUrl: string | undefined
  readonly thresholds: readonly Threshold[]
  /** Is an agent, and nothing else. */
  readonly agent: AgentAddress | undefined
  /** Where the generators run; empty: here. */
  readonly agents: readonly AgentAddress[]
  readonly isHelp: boolean
}

/** Reads the command line. @throws LOADTEST_OPTIONS_INVALID with all faults */
export function commandLineOf(args: readonly string[], nowMs: number): CommandLine {
  const line = new LineReader(args, flags)
  const given = loadOptionsOf(line, nowMs)
  const registry = registryOf(line, given)
  const options = { ...given, service: registry && serviceOf(registry, nowMs) }
  const { workloads, thresholds } = workloadsOfLine(line, options)
  const metricsUrl = metricsUrlOf(line)
  const agents = agentsOf(line)
  line.assertFaultless()
  return {
    options,
    workloads,
    isSearch: line.isSet('search'),
    registry,
    jsonFile: line.text('json'),
    reportFile: orNone(line.text('report') ?? `./data/loadtest/${options.run}.html`),
    compareFile: line.text('compare'),
    metricsUrl,
    thresholds,
    ...agents,
    isHelp: line.isSet('help'),
  }
}

function loadOptionsOf(line: LineReader, nowMs: number): LoadOptions {
  const { faults } = line
  const defaults = loadDefaults
  const integer = (name: string, standard: number, min: number, max: number) => line.integer(name, standard, min, max)
  const bodyTemplate = line.text('body-template')
  if (bodyTemplate !== undefined && line.text('body-bytes') !== undefined)
    faults.push('--body-bytes: the body template says the size')
  const connections = integer('connections', defaults.connections, 1, 999_999)
  const options: LoadOptions = {
    ...defaults,
    url: line.text('url') ?? defaults.url,
    connections,
    devicesPerConnection: integer('devices-per-connection', defaults.devicesPerConnection, 1, devicesPerConnectionMax),
    connectRate: integer('connect-rate', defaults.connectRate, 0, connectRateMax),
    qos: integer('qos', defaults.qos, 0, 1) === 0 ? 0 : 1,
    protocol: integer('protocol', defaults.protocol, 4, 5) === 5 ? 5 : 4,
    bodyBytes: integer('body-bytes', defaults.bodyBytes, bodyBytesMin, limits.bodyBytesMax),
    ...(bodyTemplate === undefined ? {} : line.collect(() => templateBody(bodyTemplate))),
    rate: line.text('rate') === 'saturate' ? 'saturate' : integer('rate', Number(defaults.rate), 0, 100_000_000),
    burst: integer('burst', defaults.burst, 1, 1_000_000),
    window: integer('window', defaults.window, 1, packetIds),
    seconds: integer('seconds', defaults.seconds, 1, secondsMax),
    warmUpSeconds: integer('warm-up', defaults.warmUpSeconds, 0, 86_400),
    messages: line.text('messages') === undefined ? undefined : integer('messages', 1, 1, sequencesMax),
    processes: integer('processes', defaults.processes, 1, Math.min(processesMax, connections)),
    seed: integer('seed', defaults.seed, 0, 2 ** 32 - 1),
    run: line.text('run') ?? nowMs.toString(36),
    clickhouse: orNone(line.text('clickhouse') ?? 'http://127.0.0.1:8123'),
    table: line.text('table') ?? defaults.table,
    quietMsMax: integer('quiet-seconds', defaults.quietMsMax / 1000, 0, 86_400) * 1000,
    cpuList: line.text('cpus'),
    tlsCaFile: line.text('tls-ca'),
    isTlsUnverified: line.isSet('insecure'),
    sourceAddresses: sourceAddressesOf(line.text('source-addresses'), faults),
    accountsFile: line.text('accounts'),
    hubName: line.text('hub-name') ?? defaults.hubName,
  }
  faults.push(...faultsOf(options))
  return options
}

/** The options alone, or as shape or workload file say; and what the run is judged by. */
function workloadsOfLine(
  line: LineReader,
  options: LoadOptions,
): { readonly workloads: readonly LoadOptions[]; readonly thresholds: readonly Threshold[] } {
  const { faults } = line
  const workloadFile = line.text('workload')
  const file = workloadFile === undefined ? undefined : line.collect(() => workloadFileAt(workloadFile))
  const slo = [file?.slo, line.text('slo')].filter(Boolean).join(',')
  const thresholds = line.collect(() => thresholdsOf(slo)) ?? []
  const givenShape = line.text('shape')
  const shape = shapeNames.find((name) => name === (givenShape ?? 'steady'))
  if (!shape) faults.push(`--shape ${givenShape}: there is ${shapeNames.join(', ')}`)
  if (file && givenShape !== undefined) faults.push('--shape: the workload file says the shapes')
  const workloads = file ? workloadsOf(file, options) : workloadsOfShape(shape ?? 'steady', options)
  faults.push(...workloads.flatMap(faultsOf).filter((fault) => !faults.includes(fault)))
  const isSearchable = !file && thresholds.length > 0 && typeof options.rate === 'number' && options.rate > 0
  if (line.isSet('search') && !isSearchable)
    faults.push('--search: needs --slo and a --rate to begin with, and no workload file')
  return { workloads, thresholds }
}

function registryOf(line: LineReader, { hubName }: LoadOptions): RestAccess | undefined {
  const ownerKey = line.collect(() => ownerKeyOf(line.text('owner-key'), line.text('data-dir')))
  const url = line.text('registry') ?? 'http://127.0.0.1:8080'
  if (!URL.canParse(url)) line.faults.push(`--registry ${url}: expected http(s)://host:port`)
  return ownerKey === undefined ? undefined : { url, ownerKey, hostName: hubName }
}

/** Generators get a token of the owner's, not the key that it is made with. */
function serviceOf(access: RestAccess, nowMs: number): ServiceAccess {
  return { url: access.url, token: ownerToken(access, nowMs + tokenMs) }
}

function metricsUrlOf(line: LineReader): string | undefined {
  const url = orNone(line.text('metrics') ?? 'http://127.0.0.1:8080/metrics')
  if (url !== undefined && !URL.canParse(url))
    line.faults.push(`--metrics ${url}: expected http://host:port/metrics, or none`)
  return url
}

function agentsOf(line: LineReader): Pick<CommandLine, 'agent' | 'agents'> {
  const { faults } = line
  const secret = line.collect(() => secretAt(line.text('agent-secret-file')))
  const others = line.text('agents')?.split(',') ?? []
  const agents = others.map((each) => agentAddress('agents', each.trim(), secret, faults))
  const own = line.text('agent')
  const agent = own === undefined ? undefined : agentAddress('agent', own, secret, faults)
  if (agent && line.given.some((name) => !['agent', 'agent-secret-file'].includes(name)))
    faults.push('--agent: takes only --agent-secret-file beside it; its coordinator says the rest')
  return { agent, agents }
}

function secretAt(file: string | undefined): string | undefined {
  if (file === undefined) return undefined
  const secret = textAt('agent-secret-file', file).trim()
  if (secret.length < secretLengthMin)
    throw new PenstockError(
      'LOADTEST_OPTIONS_INVALID',
      `--agent-secret-file ${file}: expected at least ${secretLengthMin} characters, as from: openssl rand -base64 32`,
    )
  return secret
}

/** A port alone is loopback's. */
function agentAddress(flag: string, given: string, secret: string | undefined, faults: string[]): AgentAddress {
  const url = `agent://${/^\d+$/.test(given) ? `127.0.0.1:${given}` : given}`
  const { hostname, port } = URL.canParse(url) ? new URL(url) : { hostname: '', port: '' }
  if (hostname === '' || port === '') faults.push(`--${flag} ${given}: expected host:port`)
  else if (secret === undefined && !isLocal(url))
    faults.push(`--${flag} ${given}: beyond loopback agents need a --agent-secret-file, the same on all machines`)
  return { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port), secret }
}

/** @throws LOADTEST_OPTIONS_INVALID */
function textAt(flag: string, file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new PenstockError('LOADTEST_OPTIONS_INVALID', `--${flag} ${file}: cannot be read`, { cause })
  }
}

/** A number of loopback addresses, or a list of any. */
function sourceAddressesOf(text: string | undefined, faults: string[]): string[] {
  if (text === undefined) return []
  const count = Number(text)
  if (Number.isInteger(count) && count >= 1 && count <= 254)
    return Array.from({ length: count }, (_, index) => `127.0.0.${index + 1}`)
  const addresses = text.split(',').map((each) => each.trim())
  if (!addresses.every((address) => isIP(address) !== 0))
    faults.push(`--source-addresses ${text}: expected a number from 1 to 254, or addresses behind commas`)
  return addresses
}

function orNone(text: string): string | undefined {
  return text === 'none' ? undefined : text
}

const flags = {
  help: { type: 'boolean', short: 'h' },
  url: { type: 'string' },
  connections: { type: 'string' },
  'connect-rate': { type: 'string' },
  'devices-per-connection': { type: 'string' },
  'warm-up': { type: 'string' },
  qos: { type: 'string' },
  protocol: { type: 'string' },
  'body-bytes': { type: 'string' },
  'body-template': { type: 'string' },
  rate: { type: 'string' },
  burst: { type: 'string' },
  window: { type: 'string' },
  seconds: { type: 'string' },
  messages: { type: 'string' },
  processes: { type: 'string' },
  seed: { type: 'string' },
  run: { type: 'string' },
  clickhouse: { type: 'string' },
  table: { type: 'string' },
  'quiet-seconds': { type: 'string' },
  cpus: { type: 'string' },
  json: { type: 'string' },
  shape: { type: 'string' },
  workload: { type: 'string' },
  search: { type: 'boolean' },
  'tls-ca': { type: 'string' },
  insecure: { type: 'boolean' },
  'source-addresses': { type: 'string' },
  accounts: { type: 'string' },
  'owner-key': { type: 'string' },
  'data-dir': { type: 'string' },
  registry: { type: 'string' },
  'hub-name': { type: 'string' },
  slo: { type: 'string' },
  report: { type: 'string' },
  compare: { type: 'string' },
  metrics: { type: 'string' },
  agent: { type: 'string' },
  agents: { type: 'string' },
  'agent-secret-file': { type: 'string' },
} as const
