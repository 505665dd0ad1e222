import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { RunningPenstock } from '#infra/testbed/penstock.ts'
import { freePorts } from '#runtime/free-ports.ts'
import { startMeasured } from './measured-penstock.ts'
import { selfSigned } from './self-signed.ts'

export interface TlsEdge {
  readonly edge: RunningPenstock
  readonly mqttsUrl: string
  stop(): Promise<void>
}

/** One edge process that speaks TLS, too, with a certificate of its own. @param root of its tree; left out: this one */
export async function startTlsEdge(cpuList: string, root?: string): Promise<TlsEdge> {
  const folder = mkdtempSync(join(tmpdir(), 'penstock-storm-'))
  const { certFile, keyFile } = selfSigned(folder)
  const [mqtts, https] = await freePorts(2)
  const environment = {
    PENSTOCK_TLS_CERT: certFile,
    PENSTOCK_TLS_KEY: keyFile,
    PENSTOCK_MQTTS_PORT: String(mqtts),
    PENSTOCK_AMQPS_PORT: '0',
    PENSTOCK_HTTPS_PORT: String(https),
  }
  const edge = await startMeasured('edge', { cpuList, environment, ...(root === undefined ? {} : { root }) })
  const stop = async () => {
    await edge.stop()
    rmSync(folder, { recursive: true, force: true })
  }
  return { edge, mqttsUrl: `mqtts://127.0.0.1:${mqtts}`, stop }
}
