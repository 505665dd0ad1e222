import type { BlobStore } from '#pipeline/blobs/blob-store.ts'
import { type Clock, systemClock } from '#runtime/clock.ts'
import type { OutgoingRules } from '#runtime/outgoing-addresses.ts'
import { PenstockError } from '#schemas/errors.ts'
import { FolderBlobs } from './file/folder-blobs.ts'
import { S3Blobs } from './s3/s3-blobs.ts'

export interface BlobPlace {
  /** A folder, or `s3://bucket/prefix`. */
  readonly place: string
  readonly s3: {
    readonly endpoint: string | undefined
    readonly region: string
    readonly accessKeyId: string | undefined
    readonly secretAccessKey: string | undefined
  }
  readonly rules: OutgoingRules
  readonly clock?: Clock
}

const bucketPlace = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])((?:\/[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}){1,8})\/?$/

/** Nothing is touched yet: a store that can't be used says so when it is. Whoever opens it closes it. @throws SETTINGS_INVALID */
export function openBlobStore({ place, s3, rules, clock = systemClock }: BlobPlace): BlobStore {
  if (!place.startsWith('s3:')) return new FolderBlobs(place)
  const [, bucket = '', prefix = ''] = bucketPlace.exec(place) ?? []
  const { endpoint, region, accessKeyId, secretAccessKey } = s3
  if (bucket === '') throw new PenstockError('SETTINGS_INVALID', `PENSTOCK_UPLOADS=${place} is not s3://bucket/prefix`)
  if (accessKeyId === undefined || secretAccessKey === undefined)
    throw new PenstockError(
      'SETTINGS_INVALID',
      'PENSTOCK_UPLOADS names a bucket: set PENSTOCK_UPLOADS_S3_ACCESS_KEY_ID and PENSTOCK_UPLOADS_S3_SECRET_ACCESS_KEY too',
    )
  const keys = { accessKeyId, secretAccessKey, sessionToken: undefined }
  const settings = { endpoint, region, bucket, addressing: undefined, ...keys }
  return new S3Blobs({ settings, prefix: prefix.slice(1), rules, clock })
}
