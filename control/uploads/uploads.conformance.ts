import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { registryOver } from '#control/open-registry.ts'
import { deviceContent } from '#control/registry.conformance.ts'
import type { Database } from '#control/store/database.ts'
import { openDatabase } from '#control/store/open-database.ts'
import { systemClock } from '#runtime/clock.ts'
import { silentLogger } from '#runtime/logger.ts'
import { limits } from '#schemas/limits.ts'
import { SqlUploads } from './sql-uploads.ts'
import type { FileNotification, Uploads } from './uploads.ts'

const lifeMs = 60_000
const stored = { bytes: 7, changedAtMs: 1_700_000_000_123 }

/** What every store of uploads does, whatever it is kept in. @param postgresUrl `undefined`: embedded */
export function uploadsConformance(name: string, postgresUrl: () => string | undefined): void {
  describe(`uploads on ${name}`, () => {
    let database: Database
    let uploads: Uploads
    let registry: Awaited<ReturnType<typeof registryOver>>
    let devices = 0

    beforeAll(async () => {
      const parts = { dataDir: undefined, connectionsMax: 8, logger: silentLogger }
      database = await openDatabase({ postgresUrl: postgresUrl(), ...parts })
      registry = await registryOver(database, systemClock, silentLogger)
      uploads = registry.uploads
    })
    afterAll(() => registry.close())

    async function newDevice(): Promise<string> {
      const deviceId = `uploading-${devices++}`
      await registry.identities.create(deviceContent(deviceId))
      return deviceId
    }
    const begin = async (deviceId: string, blobName = 'f'): Promise<string> => {
      const id = await uploads.beginUpload({ deviceId, blobName, lifeMs })
      if (id === undefined) throw new Error('no upload was begun')
      return id
    }
    /** As if a day had passed. */
    const age = (table: string, column: string): Promise<unknown> =>
      database.query(`UPDATE penstock.${table} SET ${column} = ${column} - interval '1 day'`)
    const drain = async (): Promise<FileNotification[]> => {
      const all: FileNotification[] = []
      for (let one = await uploads.takeFileNotification(); one; one = await uploads.takeFileNotification()) {
        const { lockToken, ...notification } = one
        all.push(notification)
        await uploads.settleFileNotification(lockToken, 'complete')
      }
      return all
    }

    test('an upload that ended well is one notification, and ends once', async () => {
      const deviceId = await newDevice()
      const id = await begin(deviceId, 'a/b é')
      expect(await uploads.uploadName({ deviceId, id })).toBe('a/b é')
      const ends = await Promise.all([1, 2].map(() => uploads.endUpload({ deviceId, id, stored })))
      expect(ends.sort()).toEqual([false, true])
      expect(await drain()).toEqual([{ deviceId, blobName: 'a/b é', ...stored, atMs: expect.any(Number) }])
    })

    test('one that failed is none', async () => {
      const deviceId = await newDevice()
      expect(await uploads.endUpload({ deviceId, id: await begin(deviceId), stored: undefined })).toBe(true)
      expect(await drain()).toEqual([])
    })

    test('is nobody else’s: another device neither sees nor ends it, and a text that is no id is none', async () => {
      const [deviceId, other] = [await newDevice(), await newDevice()]
      const id = await begin(deviceId)
      for (const upload of [
        { deviceId: other, id },
        { deviceId, id: 'x' },
        { deviceId, id: `${id}' OR true --` },
      ]) {
        expect(await uploads.uploadName(upload)).toBe(undefined)
        expect(await uploads.endUpload({ ...upload, stored })).toBe(false)
      }
      expect(await drain()).toEqual([])
      expect(await uploads.uploadName({ deviceId, id })).toBe('f')
    })

    test('of many begun at once a device gets as many as it may; those that are too old count no more', async () => {
      const deviceId = await newDevice()
      const asked = Array.from({ length: limits.deviceUploadsMax + 3 }, () =>
        uploads.beginUpload({ deviceId, blobName: 'f', lifeMs }),
      )
      const begun = (await Promise.all(asked)).filter((id) => id !== undefined)
      expect(new Set(begun).size).toBe(limits.deviceUploadsMax)
      expect(await uploads.beginUpload({ deviceId: await newDevice(), blobName: 'f', lifeMs })).toBeDefined()
      await age('uploads', 'expires_at')
      await begin(deviceId)
      await uploads.sweep()
      expect(await uploads.uploadName({ deviceId, id: begun[0] ?? '' })).toBe(undefined)
      expect(await uploads.beginUpload({ deviceId: 'nobody', blobName: 'f', lifeMs })).toBe(undefined)
    })

    test('a notification is one receiver’s until it settles it or its lock is over', async () => {
      const deviceId = await newDevice()
      for (const blobName of ['a', 'b'])
        await uploads.endUpload({ deviceId, id: await begin(deviceId, blobName), stored })
      const [one, other] = await Promise.all([uploads.takeFileNotification(), uploads.takeFileNotification()])
      expect(new Set([one?.blobName, other?.blobName])).toEqual(new Set(['a', 'b']))
      expect(await uploads.takeFileNotification()).toBe(undefined)
      expect(await uploads.settleFileNotification(one?.lockToken ?? '', 'complete')).toBe(true)
      expect(await uploads.settleFileNotification(one?.lockToken ?? '', 'complete')).toBe(false)
      expect(await uploads.settleFileNotification('no token', 'abandon')).toBe(false)
      await age('file_notifications', 'locked_until')
      expect(await uploads.settleFileNotification(other?.lockToken ?? '', 'complete')).toBe(false)
      const again = await uploads.takeFileNotification()
      expect(again?.blobName).toBe(other?.blobName)
      expect(await uploads.settleFileNotification(again?.lockToken ?? '', 'abandon')).toBe(true)
      await age('file_notifications', 'at')
      expect(await uploads.takeFileNotification()).toBe(undefined)
      await uploads.sweep()
    })

    test('whoever makes rows of it is told of each file once: soon, or when a receiver is done with it sooner', async () => {
      const told: string[] = []
      const telling = new SqlUploads(database, lifeMs, (files) => told.push(...files.map(({ blobName }) => blobName)))
      await telling.sweep()
      told.length = 0
      const deviceId = await newDevice()
      await telling.endUpload({ deviceId, id: await begin(deviceId, 'swift'), stored })
      const taken = await telling.takeFileNotification()
      await telling.settleFileNotification(taken?.lockToken ?? '', 'complete')
      for (const blobName of ['b', 'c'])
        await telling.endUpload({ deviceId, id: await begin(deviceId, blobName), stored })
      await Promise.all([telling.sweep(), telling.sweep()])
      const next = await telling.takeFileNotification()
      await telling.settleFileNotification(next?.lockToken ?? '', 'complete')
      expect(told.toSorted()).toEqual(['b', 'c', 'swift'])
      await drain()
    })
  })
}
