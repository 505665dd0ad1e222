/**
 * `node control/auth/authenticator.bench.ts [devices]`: CONNECTs a second with a SAS token, one process as the control role and as
 * the edge that asks it over its socket: first with no device cached, then with all of them.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generatedKeys } from '#control/identities/identity.ts'
import { silentLogger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import { metricsTable } from '#schemas/metrics.ts'
import { openControl } from '../open-control.ts'
import { openDirectory } from '../open-edge-control.ts'
import { admissionRules } from './admission-rules.ts'
import { Authenticator } from './authenticator.ts'
import { createSasToken } from './sas-token.ts'

const key = Buffer.alloc(32, 1).toString('base64')
/** CONNECTs under way at a time, as in a storm. */
const concurrent = 1_000

async function main(devices: number): Promise<void> {
  const dataDir = mkdtempSync(join(tmpdir(), 'penstock-authenticator-bench-'))
  const rules = admissionRules('localhost', 300)
  const metrics = new Metrics(metricsTable)
  const control = await openControl({
    dataDir,
    postgresUrl: undefined,
    postgresConnectionsMax: 1,
    ownerKey: undefined,
    rules,
    metrics,
    logger: silentLogger,
    audit: silentLogger,
  })
  const directory = await openDirectory({ dataDir, postgresUrl: undefined, logger: silentLogger })
  const authenticator = new Authenticator({
    directory,
    rules,
    devicesCachedMax: devices,
    metrics,
    logger: silentLogger,
  })
  try {
    const authentication = { ...generatedKeys, primaryKey: key, secondaryKey: key }
    const content = { moduleId: undefined, status: 'enabled', statusReason: undefined, authentication } as const
    const others = { iotEdge: false, deviceScope: undefined, parentScope: undefined, managedBy: undefined }
    await control.registry.identities.importDevices(
      Array.from({ length: devices }, (_, index) => ({ deviceId: `d${index}`, ...content, ...others })),
    )
    const attempts = Array.from({ length: devices }, (_, index) => ({
      clientId: `d${index}`,
      username: `localhost/d${index}/?api-version=2021-04-12`,
      password: Buffer.from(
        createSasToken({ scope: `localhost/devices/d${index}`, key, expiresAtMs: Date.now() + 3_600_000 }),
      ),
      certificates: [],
      confidential: true,
    }))
    const storm = async () => {
      const start = process.hrtime.bigint()
      for (let from = 0; from < devices; from += concurrent) {
        const admissions = await Promise.all(
          attempts.slice(from, from + concurrent).map((attempt) => authenticator.authenticate(attempt)),
        )
        if (!admissions.every(({ admitted }) => admitted)) throw new Error('a device was refused')
      }
      return Math.round((devices / Number(process.hrtime.bigint() - start)) * 1e9)
    }
    const result = {
      devices,
      unknownPerSecond: await storm(),
      cachedPerSecond: await storm(),
      requestsPerSecond: await requests(authenticator, attempts),
    }
    process.stdout.write(`${JSON.stringify(result)}\n`)
  } finally {
    authenticator.close()
    await directory.close()
    await control.close()
    rmSync(dataDir, { recursive: true, force: true })
  }
}

/** HTTP requests, each device with one token for ten of them. */
async function requests(
  authenticator: Authenticator,
  attempts: readonly { clientId: string; password: Buffer }[],
): Promise<number> {
  const tokens = attempts.map(({ clientId, password }) => ({
    id: { deviceId: clientId, moduleId: undefined },
    authorization: password.toString(),
    certificates: [],
    confidential: true,
  }))
  const start = process.hrtime.bigint()
  for (let round = 0; round < 10; round++) {
    for (const attempt of tokens) {
      const admission = authenticator.authenticateRequest(attempt)
      if (!(await admission).admitted) throw new Error('a request was refused')
    }
  }
  return Math.round(((tokens.length * 10) / Number(process.hrtime.bigint() - start)) * 1e9)
}

if (process.argv[1] === import.meta.filename) await main(Number(process.argv[2] ?? 20_000))
