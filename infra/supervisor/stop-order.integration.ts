import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import mqtt from 'mqtt'
import { expect, onTestFinished, test } from 'vitest'
import { startPenstock } from '#infra/testbed/penstock.ts'

test('a stop ends the edges first, then the worker, then the warehouse: each waits for those that hand on to it', {
  timeout: 120_000,
}, async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'penstock-stop-order-'))
  const penstock = await startPenstock(dataDir, { PENSTOCK_EDGE_PROCESSES: '2' })
  const edges = penstock.pidsOf('edge')
  const signalEdges = (signal: NodeJS.Signals) => {
    for (const pid of edges) if (penstock.pidsOf('edge').includes(pid)) process.kill(pid, signal)
  }
  onTestFinished(async () => {
    signalEdges('SIGCONT')
    await penstock.stop()
    rmSync(dataDir, { recursive: true, force: true })
  })
  const client = await mqtt.connectAsync(penstock.mqttUrl, { clientId: 'd1' })
  await client.publishAsync('devices/d1/messages/events/', 'kept', { qos: 1 })
  await client.endAsync()

  // Edges that stand still cannot drain: nothing else may end meanwhile.
  signalEdges('SIGSTOP')
  const stopped = penstock.stop()
  const lines = () => penstock.output().split('\n')
  const linesOf = (role: string, text: string) =>
    lines().flatMap((line, index) => (line.includes(role) && line.includes(text) ? [index] : []))
  await expect.poll(() => linesOf('supervisor', 'stopping').length, { timeout: 30_000 }).toBe(1)
  for (let asked = 0; asked < 20; asked++) {
    const answer = await fetch(penstock.clickhouseUrl, { method: 'POST', body: 'SELECT 1' })
    expect((await answer.text()).trim()).toBe('1')
  }
  expect([penstock.pidsOf('worker').length, penstock.pidsOf('warehouse').length]).toEqual([1, 1])
  signalEdges('SIGCONT')
  expect(await stopped, penstock.output()).toBe(0)

  const [draining, worker, warehouse] = [
    linesOf('edge', 'draining'),
    linesOf('worker', 'stopping'),
    linesOf('warehouse', 'stopping'),
  ]
  expect([draining.length, worker.length, warehouse.length], penstock.output()).toEqual([2, 1, 1])
  expect(Math.max(...draining)).toBeLessThan(Math.min(...worker))
  expect(Math.max(...worker)).toBeLessThan(Math.min(...warehouse))
})
