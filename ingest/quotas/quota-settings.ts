import { PenstockError } from '#schemas/errors.ts'

/** What one device may do at one edge process; 0: no limit. */
export interface DeviceQuota {
  readonly messagesPerSecond: number
  readonly bytesPerSecond: number
  readonly connectionsPerMinute: number
}

/** Limits of one edge process; 0: no limit. */
export interface QuotaOptions {
  readonly device: DeviceQuota
  /** Devices that have quotas of their own. */
  readonly deviceOverrides: ReadonlyMap<string, DeviceQuota>
  readonly edge: {
    readonly messagesPerSecond: number
    readonly bytesPerSecond: number
    readonly connectionsPerSecond: number
  }
  /** Failed attempts to prove an identity. */
  readonly failuresPerMinute: { readonly address: number; readonly deviceAtAddress: number }
}

export const unlimitedDevice: DeviceQuota = { messagesPerSecond: 0, bytesPerSecond: 0, connectionsPerMinute: 0 }

export const unlimitedQuotas: QuotaOptions = {
  device: unlimitedDevice,
  deviceOverrides: new Map(),
  edge: { messagesPerSecond: 0, bytesPerSecond: 0, connectionsPerSecond: 0 },
  failuresPerMinute: { address: 0, deviceAtAddress: 0 },
}

const fields = {
  messages: 'messagesPerSecond',
  bytes: 'bytesPerSecond',
  connections: 'connectionsPerMinute',
} as const satisfies Record<string, keyof DeviceQuota>

/**
 * Reads quotas of single devices: `gateway-1 messages:5000 bytes:0 / probe messages:1`. Devices are parted by ` / `, which no
 * device id holds; what is not named stays as it is for all devices.
 * @throws SETTINGS_INVALID
 */
export function readDeviceQuotas(text: string, others: DeviceQuota): Map<string, DeviceQuota> {
  const quotas = new Map<string, DeviceQuota>()
  for (const part of text.split('/')) {
    const [deviceId, ...entries] = part.trim().split(/\s+/)
    if (deviceId === undefined || deviceId === '') continue
    const quota = { ...others }
    for (const entry of entries) {
      const match = /^(messages|bytes|connections):(\d{1,12})$/.exec(entry)
      if (!match) throw invalid(`${deviceId}: ${entry} is not messages:n, bytes:n or connections:n`)
      quota[fields[match[1] as keyof typeof fields]] = Number(match[2])
    }
    if (quotas.has(deviceId)) throw invalid(`${deviceId} is named twice`)
    quotas.set(deviceId, quota)
  }
  return quotas
}

function invalid(text: string): PenstockError {
  return new PenstockError('SETTINGS_INVALID', `PENSTOCK_DEVICE_QUOTAS: ${text}`)
}
