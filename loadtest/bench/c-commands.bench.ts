/**
 * C-1: whole lives of commands a core: accepted, taken and locked, completed, with a feedback record; 200 devices a statement. The store
 * and the statements alone, without edge and devices. Reach: 8,000 on PostgreSQL (server and client), 2,000 embedded.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { SentCommand } from '#control/commands/commands.ts'
import { generatedKeys } from '#control/identities/identity.ts'
import { openRegistry, type Registry } from '#control/open-registry.ts'
import { startPostgres } from '#infra/testbed/postgres.ts'
import { silentLogger } from '#runtime/logger.ts'
import { limits } from '#schemas/limits.ts'
import { BenchRecord, benchArguments } from './bench-record.ts'

const devices = 5_000
const atOnce = limits.commandsSentAtOnceMax
const body = Buffer.from(JSON.stringify({ valve: 'open', percent: 40, until: '2026-01-01T00:00:00Z' }))
const kinds = ['postgres', 'embedded'] as const

async function bench(): Promise<void> {
  const args = benchArguments({ rounds: 3, seconds: 10 })
  const record = new BenchRecord('c-commands', 'C-1: whole lives of commands a core')
  for (let round = 0; round < args.rounds; round++) {
    for (const kind of kinds) {
      const dataDir = mkdtempSync(join(tmpdir(), 'penstock-commands-bench-'))
      const server = kind === 'postgres' ? await startPostgres({ isDurable: true }) : undefined
      const registry = await openRegistry({
        postgresUrl: server?.url,
        dataDir: server ? undefined : dataDir,
        connectionsMax: 4,
        logger: silentLogger,
      })
      try {
        await importDevices(registry)
        const serverBefore = server?.cpuSeconds() ?? 0
        const ownBefore = process.cpuUsage()
        const lives = await liveFor(registry, args.seconds)
        const own = process.cpuUsage(ownBefore)
        const ownSeconds = (own.user + own.system) / 1e6
        const serverSeconds = (server?.cpuSeconds() ?? 0) - serverBefore
        record.add(`${kind}, lives a core-second`, lives / (ownSeconds + serverSeconds))
        record.add(`${kind}, lives a second`, lives / args.seconds)
        if (server) record.add('postgres, lives a core-second of the server alone', lives / serverSeconds)
      } finally {
        await registry.close()
        await server?.stop()
        rmSync(dataDir, { recursive: true, force: true })
      }
    }
  }
  const [postgres, embedded] = kinds.map((kind) => Math.round(record.median(`${kind}, lives a core-second`)))
  record.finish(
    `**${postgres?.toLocaleString('en')} lives a core-second on PostgreSQL (reach 8,000), ${embedded?.toLocaleString('en')} embedded (reach 2,000).**`,
    `${devices.toLocaleString('en')} devices, ${atOnce} a statement, one statement after the other, ${body.length}-byte bodies, ack=positive; PostgreSQL with its usual durability.`,
    args,
  )
}

function idAt(index: number): string {
  return `commanded-${index % devices}`
}

async function importDevices({ identities }: Registry): Promise<void> {
  const texts = { statusReason: undefined, deviceScope: undefined, parentScope: undefined, managedBy: undefined }
  const content = { moduleId: undefined, status: 'enabled', authentication: generatedKeys, iotEdge: false } as const
  await identities.importDevices(
    Array.from({ length: devices }, (_, index) => ({ deviceId: idAt(index), ...content, ...texts })),
  )
}

/** @returns how many commands lived */
async function liveFor({ commands }: Registry, seconds: number): Promise<number> {
  const untilMs = Date.now() + seconds * 1_000
  let lives = 0
  while (Date.now() < untilMs) {
    const ids = Array.from({ length: atOnce }, (_, index) => ({ deviceId: idAt(lives + index), moduleId: undefined }))
    await Promise.all(ids.map((id, index) => commands.send(command(id.deviceId, lives + index))))
    const taken = await commands.takeCommands(ids.map((id) => ({ ...id, countMax: 10, forSession: true })))
    const settlements = taken.flatMap((queue) =>
      queue.commands.map(({ lockToken }) => ({
        deviceId: queue.deviceId,
        moduleId: undefined,
        lockToken,
        kind: 'complete' as const,
      })),
    )
    const settled = await commands.settleCommands(settlements)
    lives += settled.filter(Boolean).length
    if (settled.length !== atOnce) throw new Error(`${settled.length} of ${atOnce} commands came out`)
  }
  return lives
}

function command(deviceId: string, number: number): SentCommand {
  return {
    deviceId,
    moduleId: undefined,
    systemProperties: new Map([
      ['mid', `message-${number}`],
      ['ct', 'application/json'],
    ]),
    applicationProperties: new Map([['kind', 'valve']]),
    body,
    ack: 'positive',
    expiresAtMs: undefined,
  }
}

if (import.meta.main) await bench()
