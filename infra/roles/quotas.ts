import { type QuotaOptions, readDeviceQuotas } from '#ingest/quotas/quota-settings.ts'
import type { Settings } from '#schemas/settings.ts'

/** The quotas that the settings give one edge process. @throws SETTINGS_INVALID */
export function quotasFrom(settings: Settings): QuotaOptions {
  const device = {
    messagesPerSecond: settings.deviceMessagesPerSecond,
    bytesPerSecond: settings.deviceBytesPerSecond,
    connectionsPerMinute: settings.deviceConnectionsPerMinute,
  }
  return {
    device,
    deviceOverrides: readDeviceQuotas(settings.deviceQuotas ?? '', device),
    edge: {
      messagesPerSecond: settings.edgeMessagesPerSecond,
      bytesPerSecond: settings.edgeBytesPerSecond,
      connectionsPerSecond: settings.edgeConnectionsPerSecond,
    },
    failuresPerMinute: { address: settings.failuresPerMinute, deviceAtAddress: settings.deviceFailuresPerMinute },
  }
}
