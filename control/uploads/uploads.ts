/**
 * The port of file uploads: which are under way, and what services are told of those that ended well. The files themselves are no matter of
 * the control store.
 *
 *   begin ─▶ open ── end, stored ──▶ file notification ── receiver settles it, or it is too old ──▶ gone
 *              ├──── end, failed ──▶ gone
 *              └──── too old ──────▶ gone
 *
 * Moments are the store's own. Faults of all calls: STORE_UNAVAILABLE (retry).
 */

/** An upload that is under way. */
export interface UploadId {
  readonly deviceId: string
  /** What the device calls its correlation id. */
  readonly id: string
}

export interface UploadBegun {
  readonly deviceId: string
  readonly blobName: string
  readonly lifeMs: number
}

/** What lies in the store of files. */
export interface StoredFile {
  readonly bytes: number
  readonly changedAtMs: number
}

export interface UploadEnded extends UploadId {
  /** `undefined`: the upload failed. */
  readonly stored: StoredFile | undefined
}

/** What an edge process asks. @throws of an edge process: AUTH_DIRECTORY_UNAVAILABLE (retry) */
export interface DeviceUploads {
  /** What signs access to files: the same 32 bytes in all processes of this installation, which nobody else knows. */
  uploadKey(): Promise<Buffer>
  /** @returns its id; `undefined`: the device has `limits.deviceUploadsMax` under way, or is gone */
  beginUpload(upload: UploadBegun): Promise<string | undefined>
  /** @returns the name of its file; `undefined`: the device has no such upload */
  uploadName(upload: UploadId): Promise<string | undefined>
  /** @returns false if the device has no such upload */
  endUpload(upload: UploadEnded): Promise<boolean>
}

/** What services are told of a file. */
export interface FileNotification extends StoredFile {
  readonly deviceId: string
  readonly blobName: string
  /** When the device said that it is done. */
  readonly atMs: number
}

/** A notification that one receiver has to itself until it settles it, or `limits.feedbackLockMs` are over. */
export interface FileNotificationTaken extends FileNotification {
  readonly lockToken: string
}

/** Told of notifications that were not told of before. */
export type OnFileUploaded = (files: readonly FileNotification[]) => void

export interface Uploads extends Omit<DeviceUploads, 'uploadKey'> {
  /** The oldest that nobody else has. @returns `undefined`: there is none */
  takeFileNotification(): Promise<FileNotificationTaken | undefined>
  /** @param kind an abandoned one goes to the next who asks, a few times. @returns false if the lock is over */
  settleFileNotification(lockToken: string, kind: 'complete' | 'abandon'): Promise<boolean>
  /** Forgets what is too old, `limits.commandsSweptAtOnceMax` of each at most. @returns the most of one kind */
  sweep(): Promise<number>
}
