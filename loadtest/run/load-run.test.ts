import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import type { AgentFleet } from '#loadtest/agents/agent-fleet.ts'
import { loadDefaults } from '#loadtest/options/load-options.ts'
import { LoadRun } from './load-run.ts'

test('a run that is ended while its clocks are compared begins no look at the warehouse', async () => {
  // A table that there is not yet has no rows.
  const warehouse = createServer((_, answer) => void answer.writeHead(404).end())
  await once(warehouse.listen(0, '127.0.0.1'), 'listening')
  onTestFinished(() => void warehouse.close())
  const clickhouse = `http://127.0.0.1:${(warehouse.address() as AddressInfo).port}`
  const options = { ...loadDefaults, processes: 0, rate: 1, clickhouse }
  const fleet = {
    compareClocks: () => run.end(),
    close: async () => {},
    // Only whoever looks at the warehouse asks.
    offsetMsOf: () => expect.unreachable('it went on'),
  } as unknown as AgentFleet
  const run: LoadRun = new LoadRun([options], options, fleet, {})
  await expect(run.begin()).rejects.toMatchObject({ code: 'LOADTEST_STOPPED' })
})
