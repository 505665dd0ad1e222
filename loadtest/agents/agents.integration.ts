/** Agents on loopback against the sink that acknowledges everything: what is merged, and what ends a run. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import type { DeviceLedger } from '#loadtest/ledger/ledger.ts'
import { type LoadOptions, loadDefaults } from '#loadtest/options/load-options.ts'
import { startAckSink } from '#loadtest/peers/ack-sink.ts'
import { runLoad } from '#loadtest/run/run-load.ts'
import { processTreeOf } from '#runtime/processes.ts'
import { startAgent } from './agent.ts'
import { channelLimits } from './agent-channel.ts'
import type { AgentAddress } from './agent-socket.ts'

const closers: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

const secret = 'thirty-two letters of a secret..'
const program = join(import.meta.dirname, '../cli/loadtest.ts')

describe('a load run over agents', () => {
  test('what they count is added up, and every device belongs to one of them', async () => {
    const agents = [await agentHere(), await agentHere(secret)]
    const ledgers: DeviceLedger[] = []
    const options = { ...(await optionsOfSink()), messages: 40_001, processes: 2, rate: 50_000 }
    const result = await runLoad(options, { agents, onLedgers: (all) => ledgers.push(...all) })
    expect(result.counts.atEnd).toMatchObject({ offered: 40_001, sent: 40_001, settled: 40_001 })
    expect(ledgers.reduce((sum, { sent }) => sum + sent, 0)).toBe(40_001)
    expect(new Set(ledgers.map(({ deviceId }) => deviceId)).size).toBe(20)
    expect(ledgers.every(({ acknowledged, sent }) => acknowledged[0]?.to === sent)).toBe(true)
    const { acknowledged, raw, sendDelay } = result.latency
    for (const each of [acknowledged, raw, sendDelay]) expect(each.summary.count).toBe(40_001)
    const names = agents.map(({ port }) => `127.0.0.1:${port}`)
    expect(result.generators.map(({ agent }) => agent)).toEqual([...names, ...names])
    expect(result.generators.every(({ cpuShare }) => cpuShare > 0)).toBe(true)
    expect(result.timeline.length).toBeGreaterThan(0)
    expect(result.manifest.agents.map(({ name }) => name)).toEqual(names)
    for (const { machine, clock } of result.manifest.agents) {
      expect(machine).toMatchObject({ version: result.manifest.version, host: result.manifest.host })
      // It is the same clock.
      for (const { offsetMs, uncertaintyMs } of [clock.start, clock.end])
        expect(Math.abs(offsetMs)).toBeLessThanOrEqual(uncertaintyMs)
    }
    expect(JSON.stringify(result)).not.toContain(secret)
  })

  test('an agent that is killed ends the run by name, and frees the others', async () => {
    const doomed = await agentProcess()
    const other = await agentHere()
    const generators = () => processTreeOf(doomed.child.pid ?? 0).slice(1)
    let own: number[] = []
    const run = runLoad(await optionsOfSink(), {
      agents: [other, doomed.address],
      onProgress: ({ sent }) => {
        if (sent === 0 || own.length > 0) return
        own = generators()
        doomed.child.kill('SIGKILL')
      },
    })
    await expect(run).rejects.toMatchObject({
      code: 'LOADTEST_AGENT_FAILED',
      message: expect.stringContaining(`agent 127.0.0.1:${doomed.address.port}: `),
    })
    expect(own.length).toBe(1)
    await until(() => own.every((pid) => !isAlive(pid)))
    await expectToWork(other)
  })

  test('a generator process that ends on an agent ends the run, with the agent’s name', async () => {
    const agent = await agentProcess()
    const run = runLoad(await optionsOfSink(), {
      agents: [agent.address],
      onProgress: () => {
        for (const pid of processTreeOf(agent.child.pid ?? 0).slice(1)) process.kill(pid, 'SIGKILL')
      },
    })
    await expect(run).rejects.toMatchObject({
      code: 'LOADTEST_GENERATOR_FAILED',
      message: expect.stringMatching(`agent 127.0.0.1:${agent.address.port}: .*SIGKILL`),
    })
    await expectToWork(agent.address)
  })

  test('an agent has one coordinator: a second is refused, the first goes on', async () => {
    const agent = await agentHere()
    let second: Promise<unknown> | undefined
    const options = await optionsOfSink()
    const result = await runLoad(
      { ...options, seconds: 1 },
      {
        agents: [agent],
        onProgress: () => {
          second ??= runLoad(options, { agents: [agent] }).catch((error: Error) => error.message)
        },
      },
    )
    expect(await second).toBe(`agent 127.0.0.1:${agent.port}: it has a coordinator already`)
    expect(result.counts.atEnd.settled).toBe(result.counts.atEnd.sent)
  })

  test.each([
    ['another secret', 'another secret of thirty-three ..'],
    ['none', undefined],
  ])('a coordinator with %s is refused', async (_, given) => {
    const agent = await agentHere(secret)
    await expect(runLoad(await optionsOfSink(), { agents: [{ ...agent, secret: given }] })).rejects.toMatchObject({
      code: 'LOADTEST_AGENT_FAILED',
      message: expect.stringContaining('same --agent-secret-file'),
    })
    await expectToWork(agent)
  })

  test('where no agent is, or an agent has no connection to hold, the run does not begin', async () => {
    const agent = await agentHere()
    const gone = await agentHere()
    await closers.pop()?.()
    const options = await optionsOfSink()
    await expect(runLoad(options, { agents: [agent, gone] })).rejects.toMatchObject({ code: 'LOADTEST_AGENT_FAILED' })
    await expect(runLoad({ ...options, connections: 1 }, { agents: [agent, gone] })).rejects.toMatchObject({
      code: 'LOADTEST_OPTIONS_INVALID',
    })
    await expectToWork(agent)
  })

  test.each([
    ['what is no JSON', '{]\n', 'not JSON'],
    ['no object', 'null\n', 'neither question, answer nor push'],
    ['an unknown kind', '{"kind":"shutdown"}\n', 'neither question, answer nor push'],
    ['an unknown push', '{"p":"shutdown"}\n', 'is not known'],
    ['no process', '{"p":"command","v":{"process":-1,"command":{"kind":"abort"}}}\n', '.process is no count'],
    ['an unknown command', '{"p":"command","v":{"process":0,"command":{"kind":"exec"}}}\n', 'no known kind'],
    ['bad options', '{"p":"command","v":{"process":0,"command":{"kind":"connect","options":{}}}}\n', '--url undefined'],
    ['no start', '{"p":"command","v":{"process":0,"command":{"kind":"run"}}}\n', '.startAtMs is no number'],
    ['an endless line', 'x'.repeat(channelLimits.commandBytesMax + 1), 'longer than'],
  ])('an agent answers %s with what is wrong, and serves the next', async (_, input, reason) => {
    const agent = await agentHere()
    const socket = connect({ port: agent.port, host: agent.host })
    let output = ''
    socket.on('data', (bytes) => {
      output += bytes.toString()
    })
    socket.write(input)
    await once(socket, 'close')
    const lines = output.trim().split('\n')
    expect(JSON.parse(lines.at(-1) ?? '')).toMatchObject({ p: 'ended', v: expect.stringContaining(reason) })
    await expectToWork(agent)
  })
})

async function expectToWork(agent: AgentAddress): Promise<void> {
  const result = await runLoad({ ...(await optionsOfSink()), messages: 10 }, { agents: [agent] })
  expect(result.counts.atEnd).toMatchObject({ sent: 10, settled: 10 })
}

async function agentHere(ownSecret?: string): Promise<AgentAddress> {
  const address = { host: '127.0.0.1', port: 0, secret: ownSecret }
  const agent = await startAgent(address, () => {})
  closers.push(() => agent.close())
  return { ...address, port: agent.port }
}

async function agentProcess(): Promise<{ readonly address: AgentAddress; readonly child: ChildProcess }> {
  const child = spawn(process.execPath, [program, '--agent', '0'], { stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = once(child, 'exit')
  closers.push(() => {
    child.kill()
    return exited
  })
  const [line] = await once(child.stdout, 'data')
  const port = Number(/agent on 127\.0\.0\.1:(\d+)/.exec(String(line))?.[1])
  return { address: { host: '127.0.0.1', port, secret: undefined }, child }
}

async function optionsOfSink(): Promise<LoadOptions> {
  const sink = await startAckSink(0)
  closers.push(() => sink.close())
  const url = `mqtt://127.0.0.1:${sink.port}`
  return { ...loadDefaults, url, run: 'agents', connections: 20, rate: 2_000, seconds: 30 }
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise(setImmediate)
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
