import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'

/** Where `install.sh` puts the hub's SDKs for Python, with an interpreter of their own. */
export const pythonForDevices = join(import.meta.dirname, '../../.cache/python-device/bin/python')

/** Why the SDK cannot be used here; `undefined` if it can. */
export function pythonSdkMissing(): string | undefined {
  if (!existsSync(pythonForDevices)) return 'the device SDK for Python is not installed'
  try {
    execFileSync(pythonForDevices, ['-c', 'import azure.iot.device, azure.eventhub, fastavro, zstandard'], {
      stdio: 'pipe',
    })
    return undefined
  } catch {
    return 'the libraries for Python cannot be imported: azure-iot-device, azure-eventhub, fastavro, zstandard'
  }
}
