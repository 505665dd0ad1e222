import { stat } from 'node:fs/promises'
import { controlSettings } from '#control/control-settings.ts'
import { outgoingRulesOf } from '#control/outgoing-rules.ts'
import type { DeviceUploads } from '#control/uploads/uploads.ts'
import type { UploadOptions } from '#ingest/device-api/file-uploads.ts'
import { PenstockError } from '#schemas/errors.ts'
import type { Settings } from '#schemas/settings.ts'
import { uploadHost } from '#schemas/uploads.ts'

const mebibyte = 1024 * 1024

/**
 * What devices of an edge upload files with; `undefined` where no place for them is named.
 * @param httpsPort where the edge listens; asked once it does @throws SETTINGS_INVALID
 */
export async function openRoleUploads(
  settings: Settings,
  uploads: DeviceUploads,
  httpsPort: () => number,
): Promise<UploadOptions | undefined> {
  const place = settings.uploads
  if (place === undefined) return undefined
  if (!place.startsWith('s3:')) await requireFolder(place)
  // Loaded where it is wanted: with its clients it is a fifth of what an edge would load.
  const { openBlobStore } = await import('#pipeline/sinks/open-blob-store.ts')
  const s3 = {
    endpoint: settings.uploadsS3Endpoint,
    region: settings.uploadsS3Region,
    accessKeyId: settings.uploadsS3AccessKeyId,
    secretAccessKey: settings.uploadsS3SecretAccessKey,
  }
  return {
    store: openBlobStore({ place, s3, rules: outgoingRulesOf(settings) }),
    uploads,
    host: () => uploadHost(settings.uploadHost, controlSettings(settings).hostName, httpsPort()),
    lifeMs: settings.uploadLifeSeconds * 1_000,
    fileBytesMax: settings.uploadMegabytesMax * mebibyte,
    totalBytesMax: settings.uploadsMegabytesMax * mebibyte,
  }
}

/** Not made: where a disk is not mounted, files would fill the one below it. */
async function requireFolder(folder: string): Promise<void> {
  const found = await stat(folder).catch(() => undefined)
  if (found?.isDirectory() === true) return
  throw new PenstockError('SETTINGS_INVALID', `PENSTOCK_UPLOADS=${folder} is no folder; make it first`)
}
