/** A Penstock that is measured, with a document of routes put in force over REST. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { RestClient } from '#control/client/client.ts'
import { readOwnerKey } from '#control/trust/owner-key.ts'
import type { RunningPenstock } from '#infra/testbed/penstock.ts'
import { sleep, systemClock } from '#runtime/clock.ts'
import { aNumber, listOf, recordOf } from '#runtime/json-check.ts'
import { PenstockError } from '#schemas/errors.ts'
import { startMeasured } from './measured-penstock.ts'

/** What devices send in these benches: a property that tells a hundredth of the messages, and a body that conditions can read. */
export const routedPropertyBag = 'device={device}&$.ct=application%2Fjson&$.ce=utf-8'

/** As it is put over REST. */
export interface BenchRoutes {
  readonly routes: readonly object[]
  readonly endpoints: readonly object[]
}

export interface RoutedPenstock {
  readonly penstock: RunningPenstock
  /** Puts a document in force, and resolves once a router delivers by it. */
  route(document: BenchRoutes): Promise<void>
  stop(): Promise<void>
}

const readyMsMax = 60_000
const pollMs = 100

const routers = recordOf({ endpoints: listOf(recordOf({ routers: aNumber })) })

export async function startRouted(cpuList: string | undefined): Promise<RoutedPenstock> {
  const dataDir = mkdtempSync(join(tmpdir(), 'penstock-routed-'))
  const remove = (): void => rmSync(dataDir, { recursive: true, force: true })
  try {
    const penstock = await startMeasured('start', { cpuList, environment: { PENSTOCK_DATA_DIR: dataDir } })
    const stop = async (): Promise<void> => {
      await penstock.stop()
      remove()
    }
    return { penstock, stop, route: (document) => route(penstock, dataDir, document) }
  } catch (error) {
    remove()
    throw error
  }
}

async function route(penstock: RunningPenstock, dataDir: string, document: BenchRoutes): Promise<void> {
  // The first request of all starts the registry, which makes the owner's key.
  await until(
    async () => (await fetch(`${penstock.httpUrl}/routing`)).status < 500 && readOwnerKey(dataDir) !== undefined,
  )
  const access = { url: penstock.httpUrl, hostName: 'localhost', ownerKey: readOwnerKey(dataDir) ?? '' }
  const client = new RestClient(access)
  await client.call('PUT', '/routing', document, { 'If-Match': '*' })
  await until(async () => {
    const { endpoints } = await client.json(routers, 'GET', '/routing/endpoints')
    return endpoints.length === document.endpoints.length && endpoints.every((endpoint) => endpoint.routers > 0)
  })
}

/** @throws LOADTEST_TARGET_UNREACHABLE if it is not so in time */
export async function until(isSo: () => Promise<boolean>, msMax = readyMsMax): Promise<void> {
  const endMs = performance.now() + msMax
  while (!(await isSo().catch(() => false))) {
    if (performance.now() > endMs) throw new PenstockError('LOADTEST_TARGET_UNREACHABLE', 'routes do not take effect')
    await sleep(systemClock, pollMs)
  }
}
