import { randomBytes, randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { DeviceUploads, UploadBegun, UploadEnded, UploadId } from '#control/uploads/uploads.ts'
import { edgeFixture } from '#ingest/edge-fixture.ts'
import { unlimitedDevice, unlimitedQuotas } from '#ingest/quotas/quota-settings.ts'
import { MemoryBlobs } from '#pipeline/blobs/memory-blobs.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { FileUploads, type UploadPlace, type WriteGrant } from './file-uploads.ts'

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))
const fileBytesMax = 1_000
const lifeMs = 60_000

class MemoryUploads implements DeviceUploads {
  readonly open = new Map<string, UploadBegun>()
  readonly ended: UploadEnded[] = []
  keysAsked = 0
  isAway = false

  async uploadKey(): Promise<Buffer> {
    this.keysAsked++
    if (this.isAway) throw new PenstockError('AUTH_DIRECTORY_UNAVAILABLE', 'away')
    return Buffer.alloc(32, 7)
  }
  async beginUpload(upload: UploadBegun): Promise<string> {
    const id = randomUUID()
    this.open.set(id, upload)
    return id
  }
  async uploadName({ deviceId, id }: UploadId): Promise<string | undefined> {
    const upload = this.open.get(id)
    return upload?.deviceId === deviceId ? upload.blobName : undefined
  }
  async endUpload(upload: UploadEnded): Promise<boolean> {
    this.ended.push(upload)
    return this.open.delete(upload.id)
  }
}

function uploading({ bytesPerSecond = 0, totalBytesMax = 10_000 } = {}) {
  const clock = virtualClock(Date.parse('2026-11-29T00:00:00Z'))
  const quotas = { ...unlimitedQuotas, device: { ...unlimitedDevice, bytesPerSecond } }
  const fixture = edgeFixture({ clock, quotas })
  const [store, uploads] = [new MemoryBlobs(), new MemoryUploads()]
  const options = { store, uploads, host: () => 'hub:8443', lifeMs, fileBytesMax, totalBytesMax }
  const files = new FileUploads(fixture.edge, options)
  const advance = async (byMs: number): Promise<void> => {
    const untilMs = clock.nowMs() + byMs
    do for (let count = 0; count < 5; count++) await turn()
    while (clock.step(untilMs))
  }
  const leaveOf = async ({ sasToken }: UploadPlace, name: string, deviceId = 'd'): Promise<WriteGrant> => {
    const query = new URLSearchParams(sasToken)
    const grant = await files.grantOf({ deviceId, name }, (field) => query.get(field) ?? undefined, 'w')
    if (grant === undefined) throw new Error('no leave')
    return grant
  }
  return { ...fixture, clock, store, uploads, files, advance, leaveOf }
}

async function* sent(...lengths: readonly number[]): AsyncGenerator<Buffer> {
  for (const length of lengths) yield randomBytes(length)
}

describe('files of devices', () => {
  test('one that is stored is told with its length and time, and leaves no blocks', async () => {
    const { files, store, uploads, leaveOf, count } = uploading()
    const place = await files.begin('d', 'a/b')
    expect(place).toMatchObject({ hostName: 'hub:8443', containerName: 'device-files', blobName: 'd/a/b' })
    const leave = await leaveOf(place, 'a/b')
    await files.putBlock(leave, 'one', sent(10, 20))
    await files.putBlock(leave, 'two', sent(5))
    expect(await files.commit(leave, async () => ['two', 'one', 'three'])).toBe(false)
    expect(await files.commit(leave, async () => ['two', 'one'])).toBe(true)
    await files.end('d', place.correlationId, true)
    expect(uploads.ended).toMatchObject([{ deviceId: 'd', id: place.correlationId, stored: { bytes: 35 } }])
    await files.close()
    expect(store.files.size).toBe(1)
    expect([count('penstock_edge_uploads_total'), count('penstock_edge_upload_bytes_total')]).toEqual([2, 35])
  })

  test('a store that does not answer holds up the end for two seconds', async () => {
    const { files, store, clock, advance } = uploading()
    await turn()
    store.sweep = () => new Promise(() => {})
    await advance(limits.uploadSweepMs)
    const beganMs = clock.nowMs()
    const closed = files.close()
    await advance(2_000)
    await closed
    expect(clock.nowMs() - beganMs).toBe(2_000)
  })

  test('ids with what would end or change an address are escaped in it', async () => {
    const { files, leaveOf } = uploading()
    const place = await files.begin('a#b?c%d', 'f')
    expect(place.blobName).toBe('a%23b%3Fc%25d/f')
    expect(await leaveOf(place, 'f', 'a#b?c%d')).toBeDefined()
    await files.close()
  })

  test('of requests that write at once a device has its share; a list of blocks is read in its turn, too', async () => {
    const { files, store, leaveOf } = uploading()
    const leave = await leaveOf(await files.begin('d', 'f'), 'f')
    const other = await leaveOf(await files.begin('e', 'f'), 'f', 'e')
    let writing = 0
    let release = (): void => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    store.gate = () => {
      writing++
      return held
    }
    let listsRead = 0
    const writes = Array.from({ length: limits.deviceUploadWritesMax + 2 }, (_, index) =>
      files.putBlock(leave, String(index), sent(1)),
    )
    const list = files.commit(leave, async () => {
      listsRead++
      return ['0']
    })
    await turn()
    expect([writing, listsRead]).toEqual([limits.deviceUploadWritesMax, 0])
    const others = files.put(other, sent(1))
    await turn()
    expect(writing).toBe(limits.deviceUploadWritesMax + 1)
    release()
    await Promise.all([...writes, list, others])
    expect(listsRead).toBe(1)
    await files.close()
  })

  test('a device that says it is done, and is not, or was never, is told so', async () => {
    const { files, uploads } = uploading()
    const { correlationId } = await files.begin('d', 'f')
    await expect(files.end('d', correlationId, true)).rejects.toMatchObject({ code: 'UPLOAD_ABSENT' })
    await expect(files.end('other', correlationId, false)).rejects.toMatchObject({ code: 'UPLOAD_UNKNOWN' })
    expect(uploads.ended).toEqual([])
    await files.end('d', correlationId, false)
    expect(uploads.ended).toMatchObject([{ stored: undefined }])
    await expect(files.end('d', correlationId, false)).rejects.toMatchObject({ code: 'UPLOAD_UNKNOWN' })
    await files.close()
  })

  test('leave ends with its upload: what is there is read, and nothing more is taken', async () => {
    const { files, leaveOf } = uploading()
    const place = await files.begin('d', 'f')
    await files.put(await leaveOf(place, 'f'), sent(10))
    await files.end('d', place.correlationId, true)
    await expect(leaveOf(place, 'f')).rejects.toThrow('no leave')
    const query = new URLSearchParams(place.sasToken)
    const reading = await files.grantOf({ deviceId: 'd', name: 'f' }, (field) => query.get(field) ?? undefined, 'r')
    expect(reading).toBeDefined()
    await files.close()
  })

  test('an upload sends no more than its file may have, twice over, in however many blocks', async () => {
    const { files, leaveOf } = uploading()
    const leave = await leaveOf(await files.begin('d', 'f'), 'f')
    await expect(files.put(leave, sent(fileBytesMax, 1))).rejects.toMatchObject({ code: 'INGEST_FRAME_TOO_LARGE' })
    await files.putBlock(leave, 'a', sent(fileBytesMax - 1))
    await expect(files.putBlock(leave, 'b', sent(1))).rejects.toMatchObject({ code: 'INGEST_FRAME_TOO_LARGE' })
    const other = await leaveOf(await files.begin('d', 'f'), 'f')
    await files.put(other, sent(fileBytesMax))
    await files.close()
  })

  test('no upload begins while all files are as large as they may be; it is measured every minute', async () => {
    const { files, store, advance } = uploading({ totalBytesMax: 100 })
    await advance(0)
    await files.begin('d', 'f')
    store.files.set('d/f', { bytes: Buffer.alloc(100), changedAtMs: Date.now() })
    await advance(limits.uploadSweepMs)
    await expect(files.begin('d', 'g')).rejects.toMatchObject({ code: 'UPLOADS_FULL' })
    store.files.clear()
    await advance(limits.uploadSweepMs)
    await files.begin('d', 'g')
    await files.close()
  })

  test('what uploads left that did not end is removed once nobody may add to it', async () => {
    const { files, store, leaveOf, advance } = uploading()
    const leave = await leaveOf(await files.begin('d', 'f'), 'f')
    await files.putBlock(leave, 'a', sent(10))
    const [[key, block] = ['', undefined]] = store.files
    await advance(limits.uploadSweepMs)
    expect(store.files.size).toBe(1)
    if (block) store.files.set(key, { ...block, changedAtMs: Date.now() - lifeMs - limits.uploadWriteMsMax - 1 })
    await advance(limits.uploadSweepMs)
    expect(store.files.size).toBe(0)
    await files.close()
  })

  test('bytes of files count against the quota of the device: it is made to wait', async () => {
    const { files, leaveOf, clock, advance } = uploading({ bytesPerSecond: 100 })
    const leave = await leaveOf(await files.begin('d', 'f'), 'f')
    const beganMs = clock.nowMs()
    let endedMs: number | undefined
    const putting = files.put(leave, sent(200, 200, 200, 200)).then(() => {
      endedMs = clock.nowMs()
    })
    await advance(60_000)
    await putting
    expect((endedMs ?? 0) - beganMs).toBeGreaterThan(4_000)
    await files.close()
  })

  test('while the store of files is away a device is told to come back, and nothing is taken for stored', async () => {
    const { files, store, leaveOf, uploads } = uploading()
    const place = await files.begin('d', 'f')
    const leave = await leaveOf(place, 'f')
    store.gate = () => Promise.reject(new PenstockError('ENDPOINT_UNAVAILABLE', 'no disk'))
    const away = { code: 'UPLOAD_STORE_UNAVAILABLE' }
    await expect(files.put(leave, sent(1))).rejects.toMatchObject(away)
    await expect(files.commit(leave, async () => [])).rejects.toMatchObject(away)
    await expect(files.end('d', place.correlationId, true)).rejects.toMatchObject(away)
    expect(uploads.ended).toEqual([])
    await files.close()
  })

  test.each([0, 16, 33])('nothing is signed with a key of %i bytes, which somebody might guess', async (length) => {
    const { files, uploads } = uploading()
    uploads.uploadKey = async () => Buffer.alloc(length)
    await expect(files.begin('d', 'f')).rejects.toThrow(`leave is signed with 32 bytes, not ${length}`)
    await files.close()
  })

  test('a store that does not say how long a file is, or of when, is not believed', async () => {
    const { files, store } = uploading()
    for (const blob of [
      { bytes: Number.NaN, changedAtMs: 1 },
      { bytes: -1, changedAtMs: 1 },
      { bytes: 1, changedAtMs: Number.NaN },
    ]) {
      store.find = async () => blob
      await expect(files.find({ deviceId: 'd', name: 'f' })).rejects.toMatchObject({
        code: 'INTERNAL_EXPECTATION_FAILED',
      })
    }
    await files.close()
  })

  test('while control is away nothing is signed; its key is asked for once', async () => {
    const { files, uploads } = uploading()
    uploads.isAway = true
    await expect(files.begin('d', 'f')).rejects.toMatchObject({ code: 'AUTH_DIRECTORY_UNAVAILABLE' })
    uploads.isAway = false
    await files.begin('d', 'f')
    await files.begin('d', 'g')
    expect(uploads.keysAsked).toBe(2)
    await files.close()
  })
})
