import { createHash } from 'node:crypto'
import { assert } from '#runtime/assert.ts'

/** These are told apart by every file system and need no escape in any address. */
const plain = /^[a-z0-9][a-z0-9._-]{0,119}$/
const readableLengthMax = 80

/**
 * Where a file of a device lies: `{device}/{file}`. Ids and names are data and never a path: what is not plain is named by its hash, with
 * what can be read of it behind.
 */
export function blobKey(deviceId: string, name: string): string {
  return `${segmentOf(deviceId)}/${segmentOf(name)}`
}

/** No two texts have the same: not on a file system that takes `A` for `a` either, nor on one that composes letters. */
function segmentOf(text: string): string {
  if (plain.test(text)) return text
  const hash = createHash('sha256').update(text).digest('hex').slice(0, 32)
  return `${hash}~${text.replaceAll(/[^A-Za-z0-9._-]/g, '_').slice(-readableLengthMax)}`
}

/** As the name of a folder: what is none would make another one of it, and with it a folder is removed. */
export function uploadFolder(uploadId: string): string {
  assert(/^[A-Za-z0-9-]{1,64}$/.test(uploadId), 'the id of an upload is the name of a folder')
  return uploadId
}

/** As the name of a file, of what a client chose freely. */
export function blockKey(blockId: string): string {
  return createHash('sha256').update(blockId).digest('hex')
}
