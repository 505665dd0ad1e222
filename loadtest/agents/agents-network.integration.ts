/**
 * Coordinator and agents as commands of their own, each agent on a machine of its own as far as a network namespace and a clock that is
 * wrong make one, against a whole Penstock over TLS. Where there are no namespaces they meet on loopback.
 *
 *   namespace 0: Penstock 10.77.0.1, coordinator ┬ 10.77.1.1 ── 10.77.1.2 namespace 1: agent
 *                                                └ 10.77.2.1 ── 10.77.2.2 namespace 2: agent
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Namespace, namespaceMissing, openNamespace } from '#infra/testbed/namespace.ts'
import { type RunningPenstock, startPenstock } from '#infra/testbed/penstock.ts'
import type { LoadResult } from '#loadtest/result/load-result.ts'
import { makeCertificate } from '#runtime/certificate-maker.ts'

/** Linking namespaces takes root; a user namespace may not reach into another. */
const hasNetworks = process.getuid?.() === 0 && namespaceMissing() === undefined
/** The agents' clocks, ahead of the coordinator's. */
const aheadMs = [-60_000, 60_000]
const targetHost = hasNetworks ? '10.77.0.1' : '127.0.0.1'
const folder = mkdtempSync(join(tmpdir(), 'penstock-agents-'))
const inFolder = (name: string): string => join(folder, name)
const program = join(import.meta.dirname, '../cli/loadtest.ts')

describe(`agents ${hasNetworks ? 'in networks of their own' : 'on loopback'}`, () => {
  const networks: Namespace[] = []
  const commands: Command[] = []
  let penstock: RunningPenstock
  let agents: Command[]
  let addresses: string[]

  beforeAll(async () => {
    const hosts = hasNetworks ? ['10.77.1', '10.77.2'] : ['127.0.0', '127.0.0']
    if (hasNetworks) {
      for (let index = 0; index <= hosts.length; index++) networks.push(await openNamespace([]))
      await networks[0]?.run('ip', ['address', 'add', `${targetHost}/32`, 'dev', 'lo'])
      for (const [index, network] of hosts.entries()) await link(networks[0], networks[index + 1], network, index)
    }
    const { certificatePem, privateKeyPem } = makeCertificate({
      commonName: 'localhost',
      notBeforeMs: Date.now() - 60_000,
      notAfterMs: Date.now() + 3_600_000,
      hosts: ['localhost', targetHost],
      use: 'server',
    })
    writeFileSync(inFolder('cert.pem'), certificatePem)
    writeFileSync(inFolder('key.pem'), privateKeyPem)
    writeFileSync(inFolder('secret'), 'thirty-two letters of a secret..\n', { mode: 0o600 })
    agents = hosts.map((network, index) => {
      const where = `${network}.${hasNetworks ? 2 : 1}:0`
      const environment = { NODE_OPTIONS: `--import ${clockAhead(aheadMs[index] ?? 0)}` }
      return command(networks[index + 1], ['--agent', where, '--agent-secret-file', inFolder('secret')], environment)
    })
    commands.push(...agents)
    addresses = await Promise.all(agents.map(async (agent) => (await agent.said(/agent on (\S+)/))[1] ?? ''))
    penstock = await startPenstock(
      inFolder('data'),
      {
        PENSTOCK_BIND: hasNetworks ? '0.0.0.0' : '127.0.0.1',
        PENSTOCK_IDENTITIES: 'required',
        PENSTOCK_TLS_CERT: inFolder('cert.pem'),
        PENSTOCK_TLS_KEY: inFolder('key.pem'),
        PENSTOCK_MQTTS_PORT: '0',
        PENSTOCK_AMQPS_PORT: '0',
      },
      networks[0]?.through ?? [],
    )
  }, 120_000)

  afterAll(async () => {
    for (const each of commands) each.kill()
    await Promise.all(commands.map(({ exited }) => exited))
    await penstock?.stop()
    for (const each of networks) await each.close()
    rmSync(folder, { recursive: true, force: true })
  }, 60_000)

  test('every acknowledged message of all agents is one row in order; both agents are in the result', async () => {
    const run = coordinator('--seconds', '2')
    const code = await run.exited
    expect([0, 3], run.output()).toContain(code)
    const result = JSON.parse(run.standardOutput()) as LoadResult
    expect(result.reconciliation).toMatchObject({ devices: 12, lost: 0, repeated: 0, outOfOrder: 0, isClean: true })
    expect(result.counts.atEnd).toMatchObject({ sent: 1_200, settled: 1_200 })
    expect(result.latency.acknowledged.summary.count).toBe(1_200)
    // Clocks a minute apart would show in both: the schedule's start, and the time until a row is seen.
    const { visible, sendDelay } = result.latency
    expect(sendDelay.summary.maxMs).toBeLessThan(30_000)
    expect(visible?.summary.count).toBeGreaterThan(0)
    expect(visible?.summary.maxMs).toBeLessThan(30_000)
    expect(visible?.snapshot.buckets[0]?.[0]).toBeGreaterThan(0)
    expect(result.generators.map(({ agent }) => agent)).toEqual(addresses)
    expect(result.manifest.agents.map(({ name }) => name)).toEqual(addresses)
    for (const [index, { clock }] of result.manifest.agents.entries())
      for (const { offsetMs, uncertaintyMs } of [clock.start, clock.end])
        expect(Math.abs(offsetMs - (aheadMs[index] ?? 0))).toBeLessThanOrEqual(uncertaintyMs)
  }, 120_000)

  test.skipIf(!hasNetworks)(
    'a cable that is pulled ends the run by name, and the generators on both sides',
    async () => {
      const run = coordinator('--seconds', '600')
      await agents[0]?.said(/connected/)
      // Progress is shown once every few seconds.
      await run.said(/connections/)
      await networks[0]?.run('ip', ['link', 'set', 'agent0', 'down'])
      expect(await run.exited, run.output()).toBe(2)
      expect(run.output()).toContain(`LOADTEST_AGENT_FAILED: agent ${addresses[0]}: nothing was heard for 10 s`)
      await agents[0]?.said(/gone.*nothing was heard/)
      await agents[1]?.said(/released[\s\S]*released/)
    },
    120_000,
  )

  function coordinator(...args: string[]): Command {
    const mqttsPort = /mqtts:\/\/\S+?:(\d+)/.exec(penstock.output())?.[1]
    const url = `mqtts://${targetHost}:${mqttsPort}`
    const httpUrl = `http://127.0.0.1:${new URL(penstock.httpUrl).port}`
    const clickhouse = `http://127.0.0.1:${new URL(penstock.clickhouseUrl).port}`
    const target = ['--url', url, '--tls-ca', inFolder('cert.pem'), '--clickhouse', clickhouse, '--metrics', 'none']
    const devices = ['--data-dir', inFolder('data'), '--registry', httpUrl, '--connections', '12', '--rate', '600']
    const fleet = ['--agents', addresses.join(','), '--agent-secret-file', inFolder('secret')]
    const started = command(networks[0], [...fleet, ...target, ...devices, '--json', '-', ...args])
    commands.push(started)
    return started
  }
})

interface Command {
  readonly exited: Promise<number | null>
  standardOutput(): string
  /** All it wrote. */
  output(): string
  /** Resolves once it has written what matches, or rejects when it has ended without. */
  said(pattern: RegExp): Promise<RegExpExecArray>
  kill(): void
}

function command(where: Namespace | undefined, args: readonly string[], environment: NodeJS.ProcessEnv = {}): Command {
  const [first = '', ...rest] = [...(where ? [...where.through, '--'] : []), process.execPath, program, ...args]
  const child = spawn(first, rest, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...environment } })
  let standardOutput = ''
  let output = ''
  child.stdout.on('data', (bytes: Buffer) => {
    standardOutput += bytes.toString()
  })
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (bytes: Buffer) => {
      output += bytes.toString()
    })
  const exited = new Promise<number | null>((resolve) => child.once('close', resolve))
  return {
    exited,
    standardOutput: () => standardOutput,
    output: () => output,
    said: (pattern) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const found = pattern.exec(output)
          if (found) resolve(found)
        }
        child.stdout.on('data', look)
        child.stderr.on('data', look)
        void exited.then(() => reject(new Error(`it never said ${pattern}:\n${output}`)))
        look()
      }),
    kill: () => child.kill(),
  }
}

/** A module to preload into an agent and its generators: its clocks of UTC are ahead of the machine's. */
function clockAhead(ms: number): string {
  const script = `const now = Date.now; Date.now = () => now() + ${ms};
    Object.defineProperty(performance, 'timeOrigin', { value: performance.timeOrigin + ${ms} })`
  return `data:text/javascript,${encodeURIComponent(script)}`
}

/** A cable between two networks; its end in the first is called agent0, agent1 … */
async function link(hub: Namespace | undefined, other: Namespace | undefined, network: string, index: number) {
  const pid = other?.through.at(-1) ?? ''
  const ip = (where: Namespace | undefined, ...args: string[]) => where?.run('ip', args)
  await ip(hub, 'link', 'add', `agent${index}`, 'type', 'veth', 'peer', 'name', 'coordinator', 'netns', pid)
  await ip(hub, 'address', 'add', `${network}.1/24`, 'dev', `agent${index}`)
  await ip(hub, 'link', 'set', `agent${index}`, 'up')
  await ip(other, 'address', 'add', `${network}.2/24`, 'dev', 'coordinator')
  await ip(other, 'link', 'set', 'coordinator', 'up')
  await ip(other, 'route', 'add', 'default', 'via', `${network}.1`)
}
