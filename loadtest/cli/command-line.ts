/** The command line of a load run; its help is its documentation. */
import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { parseArgs } from 'node:util'
import type { RestAccess } from '#control/rest/rest-client.ts'
import type { AgentAddress } from '#loadtest/agents/agent-socket.ts'
import { bodyBytesMin, sequencesMax } from '#loadtest/generate/body-layout.ts'
import { templateBody } from '#loadtest/generate/body-template.ts'
import { packetIds } from '#loadtest/ledger/ledger.ts'
import {
  connectRateMax,
  faultsOf,
  type LoadOptions,
  loadDefaults,
  processesMax,
  valueOrFault,
} from '#loadtest/options/load-options.ts'
import { isLocal } from '#loadtest/options/target-address.ts'
import { type Threshold, thresholdsOf } from '#loadtest/result/slo.ts'
import { shapeHelp, shapeNames, workloadsOfShape } from '#loadtest/workload/shapes.ts'
import { workloadFileAt, workloadsOf } from '#loadtest/workload/workload-file.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { ownerKeyOf } from './register-devices.ts'

/** A shorter one can be guessed by whoever a coordinator once took for an agent. */
const secretLengthMin = 16

export const loadHelp = `Usage: npm run loadtest -- [options]

Sends MQTT messages, keeps a ledger of what was sent and acknowledged, and compares it with the rows in ClickHouse.

  --url <address>           target: mqtt, mqtts, ws, wss, http or https://host:port; over HTTP each
                            device waits for its answer before it sends again (${loadDefaults.url})
  --connections <n>         devices, one connection each (${loadDefaults.connections})
  --connect-rate <n>        connections a second while they are opened; 0: as fast as the target accepts them (${loadDefaults.connectRate})
  --qos <0|1>               (${loadDefaults.qos})
  --protocol <4|5>          MQTT 3.1.1 or 5 (${loadDefaults.protocol})
  --body-bytes <n>          size of the JSON body, from ${bodyBytesMin} (${loadDefaults.bodyBytes})
  --body-template <text>    instead: JSON with seeded values, as '{"t": \${float(18,26,1)}, "n": \${int(0,9)}, "door": \${choice(open,closed)},
                            "text": \${hex(16)}}'; sequence number and time come before its members
  --rate <n|saturate>       messages a second over all connections, sent on an absolute schedule whatever the target does (${loadDefaults.rate});
                            0 only connects; saturate: as many as the target takes
  --burst <n>               messages a device sends together when its turn comes (${loadDefaults.burst})
  --window <n>              unacknowledged messages a connection, QoS 1 (${loadDefaults.window})
  --seconds <n>             how long to send (${loadDefaults.seconds})
  --warm-up <n>             first seconds of them that are not in the latencies (${loadDefaults.warmUpSeconds})
  --messages <n>            stop after so many messages over all connections
  --processes <n>           generator processes, on each machine (${loadDefaults.processes})
  --seed <n>                seed of everything random (${loadDefaults.seed})
  --run <name>              name in the device ids load-<name>-000000 … (made from the time)
  --clickhouse <url|none>   where the rows are counted (http://127.0.0.1:8123)
  --table <name>            (${loadDefaults.table})
  --quiet-seconds <n>       without a new row for so long, what is missing is lost (${loadDefaults.quietMsMax / 1000})
  --shape <name>            rate over time: ${shapeNames.join(', ')}, see below
  --workload <file>         JSON or YAML (.yaml, .yml): several kinds of devices in one run, by loadtest/workload/workload.schema.json
  --search                  the highest --rate that meets --slo, from the given one on, each tried for --seconds
  --cpus <list>             pin the generator to these CPUs, e.g. 1 or 0,2-3 (Linux)

Transport and identities:

  --tls-ca <file.pem>       authority behind the target's certificate
  --insecure                take any certificate
  --source-addresses <n|…>  connect from 127.0.0.1 … 127.0.0.n, or from these addresses in turn; one carries 28,000 connections
  --accounts <file.csv>     lines username,password, taken by the devices in turn
  --owner-key <base64>      where identities are required: registers the run's devices first, and deletes them at the end
  --data-dir <folder>       the same with the key that a Penstock of this machine keeps there
  --registry <url>          its REST API (http://127.0.0.1:8080)
  --hub-name <name>         its PENSTOCK_HOSTNAME (localhost)

Several machines:

  --agent <[host:]port>     hold generators for a coordinator elsewhere; nothing else is sent, SIGINT ends it; 0: a free port
  --agents <host:port,…>    coordinate: --processes generators on each of these agents, instead of on this machine
  --agent-secret-file <f>   what agents and coordinator both hold, at least ${secretLengthMin} characters; needed beyond loopback

Thresholds and results:

  --slo <name=value,…>      e.g. puback_p99_ms=50,stored_p99_ms=1000,acknowledged_per_s=20000; a missed one fails the run
  --report <file|none>      a page with charts, and the whole result as JSON beside it (./data/loadtest/<run>.html)
  --compare <result.json>   show the difference to an earlier result in the report
  --json <file>             write the JSON there instead; - for standard output instead of the screen
  --metrics <url|none>      the target's own counters (http://127.0.0.1:8080/metrics)

Shapes:

${shapeNames.map((name) => `  ${name.padEnd(26)}${shapeHelp[name]}`).join('\n')}

Faults: npm run loadtest -- --scenario list
What a cluster needs for a load: npm run loadtest -- --plan --help

Exit code: 0 all acknowledged messages are stored exactly once and in order, and the thresholds are met; 1 not so; 2 the run itself
failed; 3 the generator was the limit, so the figures prove nothing. docs/LOADTEST.md says what the numbers mean.
Latencies count from the moment a message was to be sent, also when the target or the generator was late.`

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
  const text = (name: string) => values[name] as string | undefined
  const faults: string[] = []
  let values: Record<string, unknown> = {}
  try {
    values = parseArgs({ args: [...args], options: flags, strict: true, allowPositionals: false }).values
  } catch (error) {
    faults.push(error instanceof Error ? error.message : String(error))
  }
  const integer = (name: string, standard: number, min: number, max: number): number => {
    const given = text(name)
    if (given === undefined) return standard
    const value = Number(given)
    if (given.trim() !== '' && Number.isInteger(value) && value >= min && value <= max) return value
    faults.push(`--${name} ${given}: allowed is an integer from ${min} to ${max}`)
    return standard
  }
  const collect = <T>(read: () => T) => valueOrFault(read, faults)
  const bodyTemplate = text('body-template')
  if (bodyTemplate !== undefined && text('body-bytes') !== undefined)
    faults.push('--body-bytes: the body template says the size')
  const connections = integer('connections', loadDefaults.connections, 1, 999_999)
  const options: LoadOptions = {
    ...loadDefaults,
    url: text('url') ?? loadDefaults.url,
    connections,
    connectRate: integer('connect-rate', loadDefaults.connectRate, 0, connectRateMax),
    qos: integer('qos', loadDefaults.qos, 0, 1) === 0 ? 0 : 1,
    protocol: integer('protocol', loadDefaults.protocol, 4, 5) === 5 ? 5 : 4,
    bodyBytes: integer('body-bytes', loadDefaults.bodyBytes, bodyBytesMin, limits.bodyBytesMax),
    ...(bodyTemplate === undefined ? {} : collect(() => templateBody(bodyTemplate))),
    rate: text('rate') === 'saturate' ? 'saturate' : integer('rate', Number(loadDefaults.rate), 0, 100_000_000),
    burst: integer('burst', loadDefaults.burst, 1, 1_000_000),
    window: integer('window', loadDefaults.window, 1, packetIds),
    seconds: integer('seconds', loadDefaults.seconds, 1, 30 * 86_400),
    warmUpSeconds: integer('warm-up', loadDefaults.warmUpSeconds, 0, 86_400),
    messages: text('messages') === undefined ? undefined : integer('messages', 1, 1, sequencesMax),
    processes: integer('processes', loadDefaults.processes, 1, Math.min(processesMax, connections)),
    seed: integer('seed', loadDefaults.seed, 0, 2 ** 32 - 1),
    run: text('run') ?? nowMs.toString(36),
    clickhouse: orNone(text('clickhouse') ?? 'http://127.0.0.1:8123'),
    table: text('table') ?? loadDefaults.table,
    quietMsMax: integer('quiet-seconds', loadDefaults.quietMsMax / 1000, 0, 86_400) * 1000,
    cpuList: text('cpus'),
    tlsCaFile: text('tls-ca'),
    isTlsUnverified: values.insecure === true,
    sourceAddresses: sourceAddressesOf(text('source-addresses'), faults),
    accountsFile: text('accounts'),
    hubName: text('hub-name') ?? loadDefaults.hubName,
  }
  faults.push(...faultsOf(options))
  const workloadFile = text('workload')
  const file = workloadFile === undefined ? undefined : collect(() => workloadFileAt(workloadFile))
  const thresholds = collect(() => thresholdsOf([file?.slo, text('slo')].filter(Boolean).join(','))) ?? []
  const shape = shapeNames.find((name) => name === (text('shape') ?? 'steady'))
  if (!shape) faults.push(`--shape ${text('shape')}: there is ${shapeNames.join(', ')}`)
  if (file && text('shape') !== undefined) faults.push('--shape: the workload file says the shapes')
  const workloads = file ? workloadsOf(file, options) : workloadsOfShape(shape ?? 'steady', options)
  faults.push(...workloads.flatMap(faultsOf).filter((fault) => !faults.includes(fault)))
  const isSearch = values.search === true
  if (isSearch && (file || thresholds.length === 0 || typeof options.rate !== 'number' || options.rate === 0))
    faults.push('--search: needs --slo and a --rate to begin with, and no workload file')
  const ownerKey = collect(() => ownerKeyOf(text('owner-key'), text('data-dir')))
  const registryUrl = text('registry') ?? 'http://127.0.0.1:8080'
  if (!URL.canParse(registryUrl)) faults.push(`--registry ${registryUrl}: expected http(s)://host:port`)
  const metricsUrl = orNone(text('metrics') ?? 'http://127.0.0.1:8080/metrics')
  if (metricsUrl !== undefined && !URL.canParse(metricsUrl))
    faults.push(`--metrics ${metricsUrl}: expected http://host:port/metrics, or none`)
  const secret = collect(() => secretAt(text('agent-secret-file')))
  const agents =
    text('agents')
      ?.split(',')
      .map((each) => agentAddress('agents', each.trim(), secret, faults)) ?? []
  const own = text('agent')
  const agent = own === undefined ? undefined : agentAddress('agent', own, secret, faults)
  if (agent && Object.keys(values).some((name) => !['agent', 'agent-secret-file'].includes(name)))
    faults.push('--agent: takes only --agent-secret-file beside it; its coordinator says the rest')
  if (faults.length > 0) throw new PenstockError('LOADTEST_OPTIONS_INVALID', faults.join('\n'))
  return {
    options,
    workloads,
    isSearch,
    registry: ownerKey === undefined ? undefined : { url: registryUrl, ownerKey, hostName: options.hubName },
    jsonFile: text('json'),
    reportFile: orNone(text('report') ?? `./data/loadtest/${options.run}.html`),
    compareFile: text('compare'),
    metricsUrl,
    thresholds,
    agent,
    agents,
    isHelp: values.help === true,
  }
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
