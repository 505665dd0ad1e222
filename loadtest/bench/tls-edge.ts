import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePorts } from '#runtime/free-ports.ts'
import { selfSigned } from './self-signed.ts'
import { startPenstock, type Target } from './targets.ts'

/** One edge process that speaks TLS, too, with a certificate of its own. */
export async function startTlsEdge(cpuList: string): Promise<{ readonly target: Target; readonly mqttsUrl: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'penstock-storm-'))
  const { certFile, keyFile } = selfSigned(folder)
  const [mqtts, https] = await freePorts(2)
  const environment = {
    PENSTOCK_TLS_CERT: certFile,
    PENSTOCK_TLS_KEY: keyFile,
    PENSTOCK_MQTTS_PORT: String(mqtts),
    PENSTOCK_HTTPS_PORT: String(https),
  }
  const target = await startPenstock('edge', { cpuList, environment })
  const stop = async () => {
    await target.stop()
    rmSync(folder, { recursive: true, force: true })
  }
  return { target: { ...target, stop }, mqttsUrl: `mqtts://127.0.0.1:${mqtts}` }
}
