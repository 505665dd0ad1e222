/**
 * Brokers of other projects for the bench of peers, fetched once by their registries' own clients and kept in `.cache/`. Nobody subscribes,
 * so none of them stores a message: a PUBACK says that it was read.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { artemisCommand, artemisMissing, artemisVersion, fetchArtemis } from './artemis.ts'
import { findExecutable } from './executables.ts'
import { cachedFolder, fetchJars, fetchOnce, runClient } from './fetch-once.ts'

export interface PeerBroker {
  readonly name: string
  /** What devices speak to it. */
  readonly scheme: 'mqtt' | 'amqp'
  /** Version and settings, as a record says them. */
  readonly settings: string
  /** What it does with a message. */
  readonly keeps: string
  /** Seconds of load until its speed is what it will be: a just-in-time compiler needs several. */
  readonly warmUpSeconds: number
  /** Names what is missing to fetch and to start it; `undefined` if nothing is. */
  missing(): string | undefined
  /** It takes minutes to build, and has not been built here yet. */
  readonly isSlowToFetch: boolean
  /** @throws Error if its registry does not give it, or it cannot be built */
  fetch(): Promise<void>
  /** @param folder is empty, and the broker's own */
  command(port: number, folder: string): readonly string[]
}

const peers = join(import.meta.dirname, '../../loadtest/peers')

export function peerBrokers(): readonly PeerBroker[] {
  return [moquette(), mochi(), rumqttd(), artemis()]
}

function moquette(): PeerBroker {
  const pom = join(peers, 'moquette/pom.xml')
  const version = versionIn(pom, /<moquette\.version>(.*)<\/moquette\.version>/)
  const jars = cachedFolder(`moquette-${version}`)
  const settings = [
    'websocket_port disabled',
    'allow_anonymous true',
    'persistence_enabled false',
    'telemetry_enabled false',
    // Drops messages when this queue is full, of QoS 1 too; its default is 1,024.
    'session_queue_size 1000000',
  ]
  return {
    name: 'moquette',
    scheme: 'mqtt',
    settings: `${version}, java -Xmx2g; ${settings.join(', ')}`,
    keeps: 'stores nothing',
    warmUpSeconds: 8,
    isSlowToFetch: false,
    missing: () => withoutProgram('java') ?? (existsSync(jars) ? undefined : withoutProgram('mvn')),
    fetch: () => fetchOnce(jars, (fresh) => fetchJars(pom, fresh)),
    command(port, folder) {
      mkdirSync(join(folder, 'config'))
      const lines = ['host 127.0.0.1', `port ${port}`, ...settings]
      writeFileSync(join(folder, 'config/moquette.conf'), `${lines.join('\n')}\n`)
      const options = ['-Xmx2g', `-Dmoquette.path=${folder}`, '-cp', join(jars, '*')]
      return ['java', ...options, 'io.moquette.broker.Server']
    },
  }
}

function mochi(): PeerBroker {
  const source = join(peers, 'go-broker')
  const version = versionIn(join(source, 'go.mod'), /mochi-mqtt\/server\/v2 v(\S+)/)
  const program = cachedFolder('go-broker')
  return {
    name: 'mochi',
    scheme: 'mqtt',
    settings: `${version}, its defaults, as \`loadtest/peers/go-broker\``,
    keeps: 'stores nothing',
    warmUpSeconds: 2,
    isSlowToFetch: false,
    missing: () => withoutProgram('go'),
    // Go's own cache knows what has changed.
    fetch: () => runClient('go', ['build', '-o', program, '.'], source),
    command: (port) => [program, `127.0.0.1:${port}`],
  }
}

function rumqttd(): PeerBroker {
  const version = '0.20.0'
  const folder = cachedFolder(`rumqttd-${version}`)
  return {
    name: 'rumqttd',
    scheme: 'mqtt',
    settings: `${version}; a log of 2 MB a topic in memory, next_connection_delay_ms 0`,
    keeps: 'keeps the last in memory',
    warmUpSeconds: 2,
    isSlowToFetch: !existsSync(folder),
    missing: () => (existsSync(folder) ? undefined : withoutProgram('cargo')),
    // Not `--locked`: its lock file names a library that newer compilers refuse.
    fetch: () => fetchOnce(folder, (fresh) => runClient('cargo', ['install', `rumqttd@${version}`, '--root', fresh])),
    command(port, own) {
      const file = join(own, 'rumqttd.toml')
      writeFileSync(file, rumqttdSettings(port))
      return [join(folder, 'bin/rumqttd'), '-c', file]
    },
  }
}

function artemis(): PeerBroker {
  return {
    name: 'Artemis',
    scheme: 'amqp',
    settings: `${artemisVersion}, java -Xmx2g; nothing persisted, no security`,
    keeps: 'stores nothing',
    warmUpSeconds: 8,
    isSlowToFetch: false,
    missing: artemisMissing,
    fetch: async () => void (await fetchArtemis()),
    command: (port, folder) => artemisCommand(folder, port, ['-Xmx2g']),
  }
}

/** Each topic has a log, whether or not somebody subscribes; without `dynamic_filters` such a message ends its connection. */
function rumqttdSettings(port: number): string {
  return `id = 0
[router]
id = 0
max_connections = 20000
max_outgoing_packet_count = 200
max_segment_size = 1048576
max_segment_count = 2
[v4.1]
name = "v4"
listen = "127.0.0.1:${port}"
next_connection_delay_ms = 0
[v4.1.connections]
connection_timeout_ms = 60000
max_payload_size = 20480
max_inflight_count = 1000
dynamic_filters = true
`
}

function withoutProgram(name: string): string | undefined {
  return findExecutable(name) === undefined ? `no ${name}` : undefined
}

function versionIn(file: string, pattern: RegExp): string {
  return pattern.exec(readFileSync(file, 'utf8'))?.[1] ?? ''
}
