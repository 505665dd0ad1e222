/**
 * File notifications over REST, one at a time; `serviceBound` and `fileNotifications` come in two spellings.
 *
 *   GET    /messages/serviceBound/fileNotifications                   the next one, with its lock as ETag    204: none
 *   DELETE /messages/serviceBound/fileNotifications/{lock}            done with it
 *   POST   /messages/serviceBound/fileNotifications/{lock}/abandon    for the next who asks
 */
import { type LockedRecordsTold, lockedRecordOperations } from '#control/rest/locked-records.ts'
import type { Operation } from '#control/rest/operation.ts'
import { aCount, aText, aTime, named, recordOf } from '#runtime/api/shapes.ts'
import { nothing } from '#runtime/api/told.ts'
import { jsonAnswer } from '#runtime/http/answer.ts'
import type { FileNotification, Uploads } from './uploads.ts'

const contentType = 'application/vnd.microsoft.iothub.filenotification.json'

const notification = named(
  'FileNotification',
  recordOf({
    deviceId: aText,
    blobUri: aText,
    blobName: aText,
    lastUpdatedTime: aTime,
    blobSizeInBytes: aCount,
    enqueuedTimeUtc: aTime,
  }),
)
const told: LockedRecordsTold = {
  take: {
    summary: 'The next file that a device uploaded; to be completed within a minute, or it comes again',
    answered: {
      200: {
        description: 'a notification',
        body: { contentType, shape: notification },
        headers: { ETag: 'the lock token', 'iothub-userid': 'the name of the hub' },
      },
      204: nothing('there is none for now'),
    },
  },
  complete: {
    summary: 'The notification is received',
    answered: { 204: nothing('done') },
    faults: ['COMMAND_LOCK_LOST'],
  },
  abandon: {
    summary: 'The notification is to come again',
    answered: { 204: nothing('done') },
    faults: ['COMMAND_LOCK_LOST'],
  },
}

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
    told,
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
    lastUpdatedTime: wholeSeconds(changedAtMs),
    blobSizeInBytes: bytes,
    enqueuedTimeUtc: new Date(atMs).toISOString(),
  }
}

/** The hub's way of writing when a file was changed; its SDK for Java reads no other. */
function wholeSeconds(atMs: number): string {
  return new Date(atMs).toISOString().replace(/\.\d+Z$/, '+00:00')
}
