/**
 * The port of quotas: what single devices may do instead of what the settings say. They are few, and kept whole by every edge.
 * Faults of all calls: STORE_UNAVAILABLE (retry), REGISTRY_ID_INVALID, REGISTRY_ARGUMENT_INVALID.
 */

/** What one device may do at one edge process. `undefined`: as the settings say; 0: any. It goes with its device. */
export interface QuotaOverride {
  readonly deviceId: string
  readonly messagesPerSecond: number | undefined
  readonly bytesPerSecond: number | undefined
  readonly connectionsPerMinute: number | undefined
}

export interface QuotaSource {
  /** By device id. @throws of an edge process: AUTH_DIRECTORY_UNAVAILABLE (retry) */
  quotas(): Promise<readonly QuotaOverride[]>
}

export interface QuotaStore extends QuotaSource {
  /** Gives a device a quota of its own, or another one. @throws REGISTRY_DEVICE_UNKNOWN */
  putQuota(quota: QuotaOverride): Promise<void>
  /** @throws REGISTRY_QUOTA_UNKNOWN */
  deleteQuota(deviceId: string): Promise<void>
}
