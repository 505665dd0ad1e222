/**
 * File notifications over REST, one at a time; `serviceBound` and `fileNotifications` come in two spellings.
 *
 *   GET    /messages/serviceBound/fileNotifications                   the next one, with its lock as ETag    204: none
 *   DELETE /messages/serviceBound/fileNotifications/{lock}            done with it
 *   POST   /messages/serviceBound/fileNotifications/{lock}/abandon    for the next who asks
 */
import { lockedRecordOperations } from '#control/rest/locked-records.ts'
import type { Operation } from '#control/rest/operation.ts'
import { jsonAnswer } from '#runtime/http/answer.ts'
import type { FileNotification, Uploads } from './uploads.ts'

const contentType = 'application/vnd.microsoft.iothub.filenotification.json'

/** @param blobUri where a file is read, of its name with the device before it */
export function fileNotificationOperations(
  uploads: Pick<Uploads, 'takeFileNotification' | 'settleFileNotification'>,
  hubName: string,
  blobUri: (path: string) => string,
): Operation[] {
  return lockedRecordOperations(
    ['/messages/serviceBound/fileNotifications', '/messages/servicebound/filenotifications'],
    async () => {
      const taken = await uploads.takeFileNotification()
      if (taken === undefined) return undefined
      return jsonAnswer(200, fileNotificationDocument(taken, blobUri), {
        'Content-Type': contentType,
        ETag: `"${taken.lockToken}"`,
        'iothub-userid': hubName,
      })
    },
    (lockToken, kind) => uploads.settleFileNotification(lockToken, kind),
  )
}

/** A notification as the hub writes it. */
export function fileNotificationDocument(
  { deviceId, blobName, bytes, changedAtMs, atMs }: FileNotification,
  blobUri: (path: string) => string,
): Readonly<Record<string, unknown>> {
  const path = `${deviceId}/${blobName}`
  return {
    deviceId,
    blobUri: blobUri(path),
    blobName: path,
    lastUpdatedTime: new Date(changedAtMs).toISOString(),
    blobSizeInBytes: bytes,
    enqueuedTimeUtc: new Date(atMs).toISOString(),
  }
}
