import { describe } from 'vitest'
import { serverFor } from '#infra/testbed/require-server.ts'
import { type SeaweedForTests, seaweedMissing, startSeaweed } from '#infra/testbed/seaweedfs.ts'
import { blobStoreConformance } from '#pipeline/blobs/blob-store.conformance.ts'
import { systemClock } from '#runtime/clock.ts'
import { s3Settings, TestBucket } from './bucket-fixture.ts'
import { S3Blobs } from './s3-blobs.ts'

const seaweed = serverFor('SeaweedFS', seaweedMissing)
const prefix = 'from/devices'

describe.skipIf(seaweed.skip)(`a bucket of SeaweedFS ${seaweed.note}`, () => {
  let server: SeaweedForTests
  let bucket: TestBucket
  let count = 0

  blobStoreConformance('a bucket', {
    start: async () => {
      server = await startSeaweed()
    },
    stop: async () => {
      await server?.stop()
    },
    clear: async () => {
      bucket = new TestBucket(server, `files-${count++}`)
      await bucket.create()
    },
    open: () =>
      new S3Blobs({
        settings: s3Settings(server, { bucket: bucket.name }),
        prefix,
        rules: { ownPorts: [], allowed: [] },
        clock: systemClock,
      }),
    names: async () => {
      const left = (await bucket.uploads()).map((name) => `unfinished ${name}`)
      return [...(await bucket.objects()).keys(), ...left].map((name) => name.replace(`${prefix}/`, ''))
    },
  })
})
