/** What the operations on transfers say of themselves. */
import type { OperationTold } from '#control/rest/told.ts'
import { aCount, aFlag, aText, aTime, choiceOf, listOf, named, orNull, recordOf } from '#runtime/api/shapes.ts'
import { gives, json, nothing } from '#runtime/api/told.ts'

const type = choiceOf(['export', 'import'])

const asked = named(
  'TransferContent',
  recordOf(
    { type, outputBlobContainerUri: aText },
    {
      inputBlobContainerUri: orNull(aText),
      inputBlobName: orNull(aText),
      outputBlobName: orNull(aText),
      excludeKeysInExport: orNull(aFlag),
      storageAuthenticationType: orNull(aText),
    },
  ),
)

const transfer = named(
  'Transfer',
  recordOf(
    {
      jobId: aText,
      type,
      status: choiceOf(['enqueued', 'running', 'completed', 'failed', 'cancelled']),
      progress: aCount,
      createdTimeUtc: aTime,
      outputBlobContainerUri: aText,
      outputBlobName: aText,
      excludeKeysInExport: aFlag,
      storageAuthenticationType: choiceOf(['keyBased']),
      identitiesDone: aCount,
      identitiesRefused: aCount,
    },
    {
      startTimeUtc: aTime,
      endTimeUtc: aTime,
      inputBlobContainerUri: aText,
      inputBlobName: aText,
      failureReason: aText,
    },
  ),
)

export const transferTold = {
  create: {
    summary: 'Begins a job that exports all identities with their twins to a blob, or imports what a blob says',
    asked: json(asked),
    answered: { 200: gives('it', transfer) },
    faults: ['JOB_INVALID', 'JOBS_FULL'],
  },
  list: {
    summary: 'Exports and imports, the newest first',
    answered: { 200: gives('all of them', listOf(transfer)) },
  },
  get: {
    summary: 'An export or import, and how far it is',
    answered: { 200: gives('it', transfer) },
    faults: ['JOB_UNKNOWN'],
  },
  cancel: {
    summary: 'Ends an export or import: what was done stays done',
    answered: { 204: nothing('it ends') },
    faults: ['JOB_UNKNOWN'],
  },
} as const satisfies Readonly<Record<string, OperationTold>>
