/**
 * `node control/registry.bench.ts [devices] [postgres|embedded]`: bulk import, point look-ups, pages and a restart with many devices
 * (1,000,000 by default). Prints one JSON line; results are appended to docs/benchmarks/ by hand with their machine.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startPostgres } from '#infra/testbed/postgres.ts'
import { silentLogger } from '#runtime/logger.ts'
import { generatedKeys } from './identities/identity.ts'
import { openRegistry, type Registry } from './open-registry.ts'

const importBatch = 5_000
const lookups = 20_000

async function main(devices: number, kind: string): Promise<void> {
  const dataDir = mkdtempSync(join(tmpdir(), 'penstock-registry-bench-'))
  const server = kind === 'postgres' ? await startPostgres({ isDurable: true }) : undefined
  const open = () =>
    openRegistry({
      postgresUrl: server?.url,
      dataDir: server ? undefined : dataDir,
      connectionsMax: 4,
      logger: silentLogger,
    })
  try {
    let registry = await open()
    const importSeconds = await seconds(() => importDevices(registry, devices))
    await registry.close()
    const restartMs = await seconds(async () => {
      registry = await open()
    })
    const point = await latencies(lookups, async () => {
      await registry.identities.credentials([idAt(Math.floor(Math.random() * devices))])
    })
    const batch = await latencies(200, async () => {
      await registry.identities.credentials(
        Array.from({ length: 1_000 }, () => idAt(Math.floor(Math.random() * devices))),
      )
    })
    const page = await latencies(200, async () => {
      await registry.identities.devicesAfter(idAt(Math.floor(Math.random() * devices)), 100)
    })
    const countMs = await seconds(async () => {
      await registry.identities.statistics()
    })
    await registry.close()
    const round = (value: number) => Math.round(value * 100) / 100
    process.stdout.write(
      `${JSON.stringify({
        store: kind,
        devices,
        importPerSecond: Math.round(devices / importSeconds),
        reopenMs: round(restartMs * 1_000),
        lookupMs: point,
        lookupOf1000Ms: batch,
        pageOf100Ms: page,
        statisticsMs: round(countMs * 1_000),
      })}\n`,
    )
  } finally {
    await server?.stop()
    rmSync(dataDir, { recursive: true, force: true })
  }
}

export function idAt(index: number): string {
  return `sensor-${String(index).padStart(8, '0')}`
}

export async function importDevices(registry: Registry, devices: number): Promise<void> {
  for (let from = 0; from < devices; from += importBatch) {
    const count = Math.min(importBatch, devices - from)
    await registry.identities.importDevices(
      Array.from({ length: count }, (_, index) => ({
        deviceId: idAt(from + index),
        moduleId: undefined,
        status: 'enabled',
        statusReason: undefined,
        authentication: generatedKeys,
        iotEdge: false,
        deviceScope: undefined,
        parentScope: undefined,
        managedBy: undefined,
      })),
    )
  }
}

export async function seconds(work: () => Promise<void>): Promise<number> {
  const start = process.hrtime.bigint()
  await work()
  return Number(process.hrtime.bigint() - start) / 1e9
}

/** One after another; p50 and p99 in milliseconds. */
export async function latencies(count: number, work: () => Promise<void>): Promise<{ p50: number; p99: number }> {
  const values: number[] = []
  for (let index = 0; index < count; index++) values.push((await seconds(work)) * 1_000)
  values.sort((left, right) => left - right)
  const at = (share: number) => Math.round((values[Math.floor(values.length * share)] ?? 0) * 100) / 100
  return { p50: at(0.5), p99: at(0.99) }
}

if (process.argv[1] === import.meta.filename) {
  await main(Number(process.argv[2] ?? 1_000_000), process.argv[3] ?? 'postgres')
}
