import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { registryOver } from '#control/open-registry.ts'
import { deviceContent } from '#control/registry.conformance.ts'
import type { Database } from '#control/store/database.ts'
import { openDatabase } from '#control/store/open-database.ts'
import { systemClock } from '#runtime/clock.ts'
import { silentLogger } from '#runtime/logger.ts'
import type { AckRequest, SettlementKind, TakenCommand } from '#schemas/commands.ts'
import { limits } from '#schemas/limits.ts'
import { usualCommandRules } from './command-rules.ts'
import type { CommandRules, Commands, SentCommand } from './commands.ts'
import { SqlCommands } from './sql-commands.ts'

/** A command as a sender gives it. */
export function commandTo(deviceId: string, text: string, changes: Partial<SentCommand> = {}): SentCommand {
  return {
    deviceId,
    moduleId: undefined,
    systemProperties: new Map([['mid', text]]),
    applicationProperties: new Map(),
    body: Buffer.from(text),
    ack: 'none',
    expiresAtMs: undefined,
    ...changes,
  }
}

/** What every store of commands does, whatever it is kept in. @param postgresUrl `undefined`: embedded */
export function commandsConformance(name: string, postgresUrl: () => string | undefined): void {
  describe(`commands on ${name}`, () => {
    let database: Database
    let commands: Commands
    let devices = 0
    let registry: Awaited<ReturnType<typeof registryOver>>

    beforeAll(async () => {
      database = await openDatabase({
        postgresUrl: postgresUrl(),
        dataDir: undefined,
        connectionsMax: 8,
        logger: silentLogger,
      })
      registry = await registryOver(database, systemClock, silentLogger)
      commands = registry.commands
    })

    afterAll(() => registry.close())

    const withRules = (rules: Partial<CommandRules>): Commands =>
      new SqlCommands(database, systemClock, { ...usualCommandRules, ...rules })

    /** A device of its own for each test. */
    async function newDevice(): Promise<string> {
      const deviceId = `commanded-${devices++}`
      await registry.identities.create(deviceContent(deviceId))
      return deviceId
    }

    async function take(deviceId: string, forSession = true, countMax = 10, from = commands): Promise<TakenCommand[]> {
      const [taken] = await from.takeCommands([{ deviceId, moduleId: undefined, countMax, forSession }])
      return [...(taken?.commands ?? [])]
    }

    async function settle(command: TakenCommand | undefined, kind: SettlementKind, at = commands): Promise<boolean> {
      if (command === undefined) throw new Error('there is no command to settle')
      const { deviceId, moduleId, lockToken } = command
      return (await at.settleCommands([{ deviceId, moduleId, lockToken, kind }]))[0] ?? false
    }

    const waiting = async (deviceId: string): Promise<number | undefined> =>
      (await registry.identities.get({ deviceId, moduleId: undefined }))?.commandsWaiting
    const texts = (taken: readonly { readonly body: Uint8Array }[]): string[] =>
      taken.map(({ body }) => Buffer.from(body).toString())
    const dead = async (deviceId: string) =>
      (await commands.deadCommands({ deviceId, after: 0 }, 100)).map(({ reason, systemProperties }) => [
        systemProperties.get('mid'),
        reason,
      ])
    /** As if so much time had passed. */
    const age = (table: string, column: string, deviceId: string): Promise<unknown> =>
      database.query(`UPDATE penstock.${table} SET ${column} = ${column} - interval '3 days' WHERE device_id = $1`, [
        deviceId,
      ])
    /** Of one device, done with as a receiver does. */
    async function feedbackOf(deviceId: string): Promise<(readonly [string, string])[]> {
      const found: (readonly [string, string])[] = []
      for (let batch = await commands.takeFeedback(64); batch; batch = await commands.takeFeedback(64)) {
        for (const record of batch.records)
          if (record.deviceId === deviceId) found.push([record.messageId, record.status])
        await commands.settleFeedback(batch.lockToken, 'complete')
      }
      return found
    }

    test('a text that is no lock token locks nothing, and those that are settled with it are', async () => {
      const deviceId = await newDevice()
      await commands.send(commandTo(deviceId, 'held'))
      const [{ lockToken } = { lockToken: '' }] = await take(deviceId)
      const of = (token: string) => ({ deviceId, moduleId: undefined, lockToken: token, kind: 'complete' as const })
      expect(await commands.settleCommands([of('gone'), of(lockToken), of("' OR 1 = 1")])).toEqual([false, true, false])
      expect(await commands.settleCommands([of('gone')])).toEqual([false])
    })

    test('come out whole and in the order in which they were accepted, and end when they are completed', async () => {
      const deviceId = await newDevice()
      const odd = new Map([
        ['__proto__', 'ü &=%'],
        ['empty', ''],
      ])
      const body = Buffer.from([0, 255, 10, 128])
      await commands.send(commandTo(deviceId, 'first', { body, applicationProperties: odd, ack: 'full' }))
      await Promise.all(['b', 'c', 'd'].map((text) => commands.send(commandTo(deviceId, text))))
      expect(await waiting(deviceId)).toBe(4)
      const taken = await take(deviceId)
      expect(texts(taken).slice(1)).toEqual(['b', 'c', 'd'])
      expect(taken[0]).toMatchObject({ deviceId, moduleId: undefined, ack: 'full', deliveries: 0 })
      expect(Buffer.from(taken[0]?.body ?? [])).toEqual(body)
      expect([...(taken[0]?.applicationProperties ?? [])]).toEqual([...odd])
      expect(taken[0]?.systemProperties.get('mid')).toBe('first')
      expect(taken.map(({ sequenceNumber }) => sequenceNumber)).toEqual(
        taken.map(({ sequenceNumber }) => sequenceNumber).toSorted((one, other) => one - other),
      )
      for (const command of taken) expect(await settle(command, 'complete')).toBe(true)
      expect(await settle(taken[0], 'complete')).toBe(false)
      expect([await waiting(deviceId), await take(deviceId), await dead(deviceId)]).toEqual([0, [], []])
    })

    test('no more than 50 wait for a device, also when they come all at once', async () => {
      const deviceId = await newDevice()
      const numbers = Array.from({ length: 70 }, (_, index) => String(index))
      const sent = await Promise.allSettled(numbers.map((text) => commands.send(commandTo(deviceId, text))))
      const refused = sent.flatMap((one) => (one.status === 'rejected' ? [one.reason.code] : []))
      expect(refused).toEqual(Array(20).fill('COMMAND_QUEUE_FULL'))
      expect(await waiting(deviceId)).toBe(limits.commandsWaitingMax)
      const [first] = await take(deviceId)
      await settle(first, 'complete')
      await commands.send(commandTo(deviceId, 'one more'))
      await expect(commands.send(commandTo(deviceId, 'too many'))).rejects.toMatchObject({ code: 'COMMAND_QUEUE_FULL' })
      expect(await commands.purge({ deviceId, moduleId: undefined })).toBe(50)
    })

    test('an unknown device or module is told so, and costs others of the same statement nothing', async () => {
      const deviceId = await newDevice()
      const sent = await Promise.allSettled([
        commands.send(commandTo('nobody', 'x')),
        commands.send(commandTo(deviceId, 'x', { moduleId: 'nobody' })),
        commands.send(commandTo(deviceId, 'x')),
        commands.send(commandTo('../x', 'x')),
      ])
      expect(sent.map((one) => (one.status === 'rejected' ? one.reason.code : 'sent'))).toEqual([
        'REGISTRY_DEVICE_UNKNOWN',
        'REGISTRY_MODULE_UNKNOWN',
        'sent',
        'REGISTRY_ID_INVALID',
      ])
      await expect(commands.purge({ deviceId: 'nobody', moduleId: undefined })).rejects.toMatchObject({
        code: 'REGISTRY_DEVICE_UNKNOWN',
      })
    })

    test('a module has a queue of its own', async () => {
      const deviceId = await newDevice()
      await registry.identities.create(deviceContent(deviceId, { moduleId: 'm' }))
      await commands.send(commandTo(deviceId, 'for the module', { moduleId: 'm' }))
      expect(await take(deviceId)).toEqual([])
      const [taken] = await commands.takeCommands([{ deviceId, moduleId: 'm', countMax: 10, forSession: true }])
      expect(texts(taken?.commands ?? [])).toEqual(['for the module'])
    })

    test('what is abandoned comes again first, and so often at most; what is released is not counted', async () => {
      const deviceId = await newDevice()
      for (const text of ['poison', 'good']) await commands.send(commandTo(deviceId, text, { ack: 'negative' }))
      for (let delivery = 0; delivery < usualCommandRules.deliveriesMax; delivery++) {
        const [released] = await take(deviceId, true, 1)
        expect(await settle(released, 'release')).toBe(true)
        const [command] = await take(deviceId, true, 1)
        expect([texts([command as TakenCommand]), command?.deliveries]).toEqual([['poison'], delivery])
        expect(await settle(command, 'abandon')).toBe(true)
      }
      expect(await dead(deviceId)).toEqual([['poison', 'DeliveryCountExceeded']])
      expect(texts(await take(deviceId))).toEqual(['good'])
      expect(await feedbackOf(deviceId)).toEqual([['poison', 'DeliveryCountExceeded']])
    })

    test('a rejected command is a dead letter', async () => {
      const deviceId = await newDevice()
      await commands.send(commandTo(deviceId, 'unwanted', { ack: 'full' }))
      await settle((await take(deviceId))[0], 'reject')
      expect(await dead(deviceId)).toEqual([['unwanted', 'Rejected']])
      expect([await waiting(deviceId), await feedbackOf(deviceId)]).toEqual([0, [['unwanted', 'Rejected']]])
    })

    test('a session gets what an earlier one did not settle, in its place and counted; a request does not, nor takes it from one', async () => {
      const deviceId = await newDevice()
      for (const text of ['a', 'b', 'c']) await commands.send(commandTo(deviceId, text))
      const [ofRequest] = await take(deviceId, false, 1)
      const ofEarlier = await take(deviceId, true, 1)
      expect(texts(ofEarlier)).toEqual(['b'])
      expect(texts(await take(deviceId, false, 1))).toEqual(['c'])
      const ofLater = await take(deviceId)
      expect([texts(ofLater), ofLater[0]?.deliveries]).toEqual([['b'], 1])
      expect(await settle(ofEarlier[0], 'complete')).toBe(false)
      expect(await settle(ofRequest, 'complete')).toBe(true)
      expect(await settle(ofLater[0], 'complete')).toBe(true)
    })

    test('a lock that is over frees its command for whoever asks, and it is counted; the last time it is a dead letter', async () => {
      const deviceId = await newDevice()
      await commands.send(commandTo(deviceId, 'slow'))
      for (let delivery = 0; delivery < usualCommandRules.deliveriesMax; delivery++) {
        const [command] = await take(deviceId, false, 1)
        expect(command?.deliveries).toBe(delivery)
        expect(await take(deviceId, false, 1)).toEqual([])
        await age('commands', 'locked_until', deviceId)
        expect(await settle(command, 'complete')).toBe(false)
      }
      expect(await take(deviceId, false, 1)).toEqual([])
      expect([await dead(deviceId), await waiting(deviceId)]).toEqual([[['slow', 'DeliveryCountExceeded']], 0])
    })

    test('what is too old is not given out, and ends; what is with a device does so once its lock is over', async () => {
      const deviceId = await newDevice()
      for (const text of ['with the device', 'waits']) await commands.send(commandTo(deviceId, text, { ack: 'full' }))
      const [held] = await take(deviceId, true, 1)
      await age('commands', 'expires_at', deviceId)
      expect(await take(deviceId, false)).toEqual([])
      await commands.sweep()
      expect(await dead(deviceId)).toEqual([['waits', 'Expired']])
      await age('commands', 'locked_until', deviceId)
      await commands.sweep()
      expect(await dead(deviceId)).toEqual([
        ['waits', 'Expired'],
        ['with the device', 'Expired'],
      ])
      expect(await settle(held, 'complete')).toBe(false)
      expect([await waiting(deviceId), await feedbackOf(deviceId)]).toEqual([
        0,
        [
          ['waits', 'Expired'],
          ['with the device', 'Expired'],
        ],
      ])
    })

    test('a command expires when its sender says so', async () => {
      const deviceId = await newDevice()
      const expiresAtMs = Date.now() + 1_234_000
      await commands.send(commandTo(deviceId, 'x', { expiresAtMs }))
      expect((await take(deviceId))[0]?.expiresAtMs).toBe(expiresAtMs)
      await expect(
        commands.send(commandTo(deviceId, 'x', { expiresAtMs: Date.now() + limits.commandLifeMsMax + 60_000 })),
      ).rejects.toMatchObject({ code: 'COMMAND_INVALID' })
      await commands.send(commandTo(deviceId, 'past', { expiresAtMs: 1 }))
      await commands.sweep()
      expect(await dead(deviceId)).toEqual([['past', 'Expired']])
    })

    test('a purge, and the end of the device, leave dead letters too [G-7]', async () => {
      const deviceId = await newDevice()
      for (const text of ['a', 'b']) await commands.send(commandTo(deviceId, text, { ack: 'negative' }))
      await take(deviceId, true, 1)
      expect(await commands.purge({ deviceId, moduleId: undefined })).toBe(2)
      await commands.send(commandTo(deviceId, 'c', { ack: 'negative' }))
      await registry.identities.delete({ deviceId, moduleId: undefined }, undefined)
      expect(await dead(deviceId)).toEqual([
        ['a', 'Purged'],
        ['b', 'Purged'],
        ['c', 'DeviceDeleted'],
      ])
      expect(await feedbackOf(deviceId)).toEqual([
        ['a', 'Purged'],
        ['b', 'Purged'],
        ['c', 'Purged'],
      ])
      await registry.identities.create(deviceContent(deviceId))
      expect([await take(deviceId), await waiting(deviceId)]).toEqual([[], 0])
    })

    test('a dead letter is read and sent again as it was, behind what waits, or stays where there is no room', async () => {
      const deviceId = await newDevice()
      const expiresAtMs = Date.now() + 60_000
      const systemProperties = new Map([
        ['mid', 'again'],
        ['exp', new Date(expiresAtMs).toISOString()],
      ])
      const sent = commandTo(deviceId, 'again', { systemProperties, expiresAtMs, ack: 'full' })
      await commands.send({ ...sent, applicationProperties: new Map([['k', 'v']]) })
      await settle((await take(deviceId))[0], 'reject')
      const [letter] = await commands.deadCommands({ deviceId, after: 0 }, 10)
      const id = letter?.id ?? 0
      expect(texts([await commands.deadCommand(id)])).toEqual(['again'])
      for (let count = 0; count < 50; count++) await commands.send(commandTo(deviceId, 'waits'))
      await expect(commands.resend(id)).rejects.toMatchObject({ code: 'COMMAND_QUEUE_FULL' })
      await commands.purge({ deviceId, moduleId: undefined })
      await commands.send(commandTo(deviceId, 'waits'))
      await commands.resend(id)
      const taken = await take(deviceId)
      expect(texts(taken)).toEqual(['waits', 'again'])
      expect(taken[1]).toMatchObject({ ack: 'full', deliveries: 0 })
      expect([...(taken[1]?.systemProperties ?? [])]).toEqual([['mid', 'again']])
      expect([...(taken[1]?.applicationProperties ?? [])]).toEqual([['k', 'v']])
      await expect(commands.resend(id)).rejects.toMatchObject({ code: 'COMMAND_UNKNOWN' })
      await expect(commands.dropDeadCommand(id)).rejects.toMatchObject({ code: 'COMMAND_UNKNOWN' })
      expect(await commands.dropDeadCommands(deviceId)).toBe(50)
    })

    test.each<[AckRequest, string[]]>([
      ['none', []],
      ['positive', ['done']],
      ['negative', ['refused']],
      ['full', ['done', 'refused']],
    ])('a sender that asks for %s feedback gets that', async (ack, told) => {
      const deviceId = await newDevice()
      for (const text of ['done', 'refused']) await commands.send(commandTo(deviceId, text, { ack }))
      const [done, refused] = await take(deviceId)
      await settle(done, 'complete')
      await settle(refused, 'reject')
      expect((await feedbackOf(deviceId)).map(([messageId]) => messageId)).toEqual(told)
    })

    test('feedback is one receiver’s until it settles it or its lock is over; given back too often, or too old, it is forgotten', async () => {
      const deviceId = await newDevice()
      for (let count = 0; count < 3; count++) {
        await commands.send(commandTo(deviceId, String(count), { ack: 'full' }))
        await settle((await take(deviceId))[0], 'complete')
      }
      const [one, other] = await Promise.all([commands.takeFeedback(1), commands.takeFeedback(1)])
      const ids = [one, other].map((batch) => batch?.records[0]?.messageId)
      expect(new Set(ids).size).toBe(2)
      expect(await commands.settleFeedback(one?.lockToken ?? '', 'complete')).toBe(true)
      expect(await commands.settleFeedback(one?.lockToken ?? '', 'complete')).toBe(false)
      expect(await commands.settleFeedback('no token', 'complete')).toBe(false)
      expect(await commands.settleFeedback(other?.lockToken ?? '', 'abandon')).toBe(true)
      const rest = await commands.takeFeedback(64)
      expect(rest?.records.map(({ messageId }) => messageId)).toEqual([ids[1], '2'])
      await age('feedback', 'locked_until', deviceId)
      expect(await commands.settleFeedback(rest?.lockToken ?? '', 'complete')).toBe(false)
      for (let delivery = 3; delivery <= limits.feedbackDeliveriesMax; delivery++) {
        const again = await commands.takeFeedback(64)
        expect(again?.records).toHaveLength(2)
        await commands.settleFeedback(again?.lockToken ?? '', 'abandon')
        await commands.sweep()
      }
      expect((await commands.takeFeedback(64))?.records.map(({ messageId }) => messageId)).toEqual(['2'])
      await age('feedback', 'locked_until', deviceId)
      await age('feedback', 'at', deviceId)
      expect(await commands.takeFeedback(64)).toBe(undefined)
    })

    test('whoever makes rows of feedback is told of each record once, of a deleted device too', async () => {
      const told: (readonly [string, string])[] = []
      const telling = new SqlCommands(database, systemClock, usualCommandRules, (records) =>
        told.push(...records.map(({ messageId, status }) => [messageId, status] as const)),
      )
      await telling.sweep()
      told.length = 0
      const [deviceId, deleted] = [await newDevice(), await newDevice()]
      for (const text of ['swift', 'soon']) await commands.send(commandTo(deviceId, text, { ack: 'full' }))
      await commands.send(commandTo(deleted, 'left', { ack: 'negative' }))
      const [swift, soon] = await take(deviceId)
      await settle(swift, 'complete')
      const taken = await telling.takeFeedback(64)
      await telling.settleFeedback(taken?.lockToken ?? '', 'complete')
      expect(told.at(-1)).toEqual(['swift', 'Success'])
      await settle(soon, 'reject')
      await registry.identities.delete({ deviceId: deleted, moduleId: undefined }, undefined)
      await Promise.all([telling.sweep(), telling.sweep()])
      // Of two that look at once each may have one of them.
      expect(told.slice(-2).toSorted()).toEqual([
        ['left', 'Purged'],
        ['soon', 'Rejected'],
      ])
      const count = told.length
      const rest = await telling.takeFeedback(64)
      await telling.settleFeedback(rest?.lockToken ?? '', 'complete')
      await telling.sweep()
      expect(told).toHaveLength(count)
    })

    test('where duplicates are dropped, a message id that waits is accepted and not kept again', async () => {
      const deviceId = await newDevice()
      const deduplicated = withRules({ isDeduplicated: true })
      await Promise.all(['a', 'a', 'b'].map((text) => deduplicated.send(commandTo(deviceId, text))))
      await deduplicated.send(commandTo(deviceId, 'a'))
      const nameless = { systemProperties: new Map() }
      for (let count = 0; count < 2; count++) await deduplicated.send(commandTo(deviceId, 'nameless', nameless))
      const taken = await take(deviceId)
      expect(texts(taken)).toEqual(['a', 'b', 'nameless', 'nameless'])
      await settle(taken[0], 'complete')
      await deduplicated.send(commandTo(deviceId, 'a'))
      expect(await waiting(deviceId)).toBe(4)
      await commands.send(commandTo(deviceId, 'b'))
      expect(await waiting(deviceId)).toBe(5)
    })

    test('a queue gives large commands few at a time, and says that more are there', async () => {
      const deviceId = await newDevice()
      const body = Buffer.alloc(40 * 1024)
      for (let count = 0; count < 5; count++) await commands.send(commandTo(deviceId, 'x', { body }))
      const [taken] = await commands.takeCommands([{ deviceId, moduleId: undefined, countMax: 10, forSession: true }])
      expect([taken?.commands.length, taken?.hasMore]).toEqual([2, true])
      await commands.purge({ deviceId, moduleId: undefined })
    })

    test('above the size of all that may wait nothing is accepted until it was measured to be less', async () => {
      const deviceId = await newDevice()
      const small = withRules({ waitingBytesMax: 1 })
      await small.send(commandTo(deviceId, 'x'))
      await expect(small.send(commandTo(deviceId, 'x'))).rejects.toMatchObject({ code: 'COMMANDS_FULL' })
      expect((await small.measure()).waitingBytes).toBeGreaterThan(0)
      await expect(small.send(commandTo(deviceId, 'x'))).rejects.toMatchObject({ code: 'COMMANDS_FULL' })
      await database.query('DELETE FROM penstock.commands')
      await database.query('UPDATE penstock.queues SET waiting = 0')
      expect((await small.measure()).waiting).toBe(0)
      await small.send(commandTo(deviceId, 'x'))
    })

    test('whoever sends, takes, settles, purges and sweeps at the same time, the count of a queue is that of its commands', async () => {
      const deviceIds = await Promise.all(Array.from({ length: 6 }, newDevice))
      const others = [withRules({ deliveriesMax: 3 }), withRules({ deliveriesMax: 3 }), withRules({ deliveriesMax: 3 })]
      const kinds: readonly SettlementKind[] = ['complete', 'abandon', 'release', 'reject', 'complete']
      const one = async (at: Commands, start: number): Promise<void> => {
        for (let round = 0; round < 25; round++) {
          await Promise.allSettled(deviceIds.map((deviceId) => at.send(commandTo(deviceId, `${start}-${round}`))))
          const order = round % 2 === 0 ? deviceIds : deviceIds.toReversed()
          const wanted = order.map((deviceId) => ({
            deviceId,
            moduleId: undefined,
            countMax: 4,
            forSession: round % 3 > 0,
          }))
          const taken = (await at.takeCommands(wanted)).flatMap((queue) => queue.commands)
          await at.settleCommands(
            taken.map(({ deviceId, moduleId, lockToken }, index) => ({
              deviceId,
              moduleId,
              lockToken,
              kind: kinds[(index + start) % kinds.length] as SettlementKind,
            })),
          )
          if (round % 10 === start) await at.purge({ deviceId: deviceIds[start] as string, moduleId: undefined })
          await at.sweep()
        }
      }
      await Promise.all(others.map(one))
      const rows = await database.query<{ device_id: string; waiting: number; count: number }>(
        `SELECT device_id, waiting, (SELECT count(*)::integer FROM penstock.commands c WHERE c.device_id = q.device_id) AS count
         FROM penstock.queues q WHERE device_id = ANY($1::text[])`,
        [deviceIds],
      )
      expect(rows).toHaveLength(6)
      for (const { waiting: counted, count } of rows) expect(counted).toBe(count)
    })
  })
}
