import { describe, expect, test } from 'vitest'
import { FolderBlobs } from './file/folder-blobs.ts'
import { openBlobStore } from './open-blob-store.ts'
import { S3Blobs } from './s3/s3-blobs.ts'

const keys = { endpoint: undefined, region: 'us-east-1', accessKeyId: 'id', secretAccessKey: 'secret' }
const rules = { ownPorts: [], allowed: [] }

describe('the place of files', () => {
  test.each([
    ['/var/files', FolderBlobs],
    ['./files', FolderBlobs],
    ['s3://bucket/files', S3Blobs],
    ['s3://my.bucket-1/from/devices/', S3Blobs],
  ])('%s', async (place, kind) => {
    const store = openBlobStore({ place, s3: keys, rules })
    expect(store).toBeInstanceOf(kind)
    await store.close()
  })

  test.each([
    's3:',
    's3://',
    's3://bucket',
    's3://bucket/',
    's3://B/x',
    's3://bucket/../x',
    's3://bucket//x',
    's3://bucket/x?y',
  ])('%s is none: a bucket needs a prefix of its own', (place) => {
    expect(() => openBlobStore({ place, s3: keys, rules })).toThrow(
      expect.objectContaining({ code: 'SETTINGS_INVALID' }),
    )
  })

  test('a bucket needs keys', () => {
    for (const missing of ['accessKeyId', 'secretAccessKey'])
      expect(() => openBlobStore({ place: 's3://bucket/x', s3: { ...keys, [missing]: undefined }, rules })).toThrow(
        expect.objectContaining({ code: 'SETTINGS_INVALID' }),
      )
  })
})
