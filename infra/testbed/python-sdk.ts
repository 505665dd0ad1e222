import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'

/** Where `install.sh` puts the hub's SDKs for Python, with an interpreter of their own. */
export const pythonForDevices = join(import.meta.dirname, '../../.cache/python-device/bin/python')

/** Why the SDKs for devices and readers of events cannot be used here; `undefined` if they can. */
export function pythonSdkMissing(): string | undefined {
  return missing('azure.iot.device, azure.eventhub, fastavro, zstandard')
}

/** The same for the SDK for services, and a device that it speaks to. */
export function pythonServiceSdkMissing(): string | undefined {
  return missing('azure.iot.hub, azure.iot.device')
}

function missing(libraries: string): string | undefined {
  if (!existsSync(pythonForDevices)) return "the hub's SDKs for Python are not installed"
  try {
    execFileSync(pythonForDevices, ['-c', `import ${libraries}`], { stdio: 'pipe' })
    return undefined
  } catch {
    return `the libraries for Python cannot be imported: ${libraries}`
  }
}
