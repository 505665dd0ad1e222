import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import kafkajs from 'kafkajs'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { kafkaMissing } from '#infra/testbed/kafka-jars.ts'
import { serverFor } from '#infra/testbed/require-server.ts'
import { startSwitchedProxy } from '#infra/testbed/switched-proxy.ts'
import { messagesAt, partAt, rangeAt, tokenAt } from '#pipeline/endpoints/selected-fixture.ts'
import type { SelectedRange } from '#pipeline/endpoints/selected-range.ts'
import { tableSinkConformance } from '#pipeline/endpoints/table-sink.conformance.ts'
import type { KafkaBroker, KafkaCluster } from '#pipeline/kafka/client.ts'
import { systemClock } from '#runtime/clock.ts'
import { seededRandom } from '#runtime/seeded-random.ts'
import { batchFromMessages, batchHeader, blocksOfBatch } from '#schemas/batch.ts'
import type { KafkaSettings } from '#schemas/endpoint-kinds/kafka.ts'
import { partitionOfDevice } from '#schemas/partition.ts'
import { KafkaConnection } from './kafka-connection.ts'
import { KafkaPartition } from './kafka-partition.ts'
import { KafkaSink } from './kafka-sink.ts'
import { holds } from './mark.ts'
import { kafkaSettings, startTestTopics, type TestTopics } from './topic-fixture.ts'

const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 1e9))
const server = serverFor('Apache Kafka', kafkaMissing)
const batchBytesMax = 200_000
/** Compressed too, but no larger than a message may be. */
const tooLarge = () => randomBytes(1.2 * batchBytesMax).toString('base64')

describe.skipIf(server.skip)(`topics of a Kafka ${server.note}`, () => {
  let topics: TestTopics
  let topic = ''
  let topicCount = 0
  let opened: { close(): Promise<void> }[] = []

  beforeAll(async () => {
    topics = await startTestTopics()
  })
  afterEach(async () => {
    await Promise.all(opened.map((each) => each.close()))
    opened = []
  })
  afterAll(() => topics.stop())

  const newTopic = async (partitions = 1): Promise<void> => {
    topic = `telemetry-${topicCount++}`
    await topics.create(topic, partitions, { 'max.message.bytes': String(batchBytesMax) })
  }
  const settingsOf = (changes: Partial<KafkaSettings> = {}) =>
    kafkaSettings(topics.secured.kafka.bootstrap, topic, changes)
  const sink = (changes: Partial<KafkaSettings> = {}, { hubName = 'hub', ownPorts = [0] } = {}): KafkaSink => {
    const options = { name: 'k', hubName, group: 'test', settings: settingsOf(changes), clock: systemClock }
    const to = new KafkaSink({ ...options, rules: { ownPorts, allowed: [] } })
    opened.push(to)
    return to
  }
  const later = () => systemClock.monotonicMs() + 60_000
  const insert = (to: KafkaSink, selected: SelectedRange) => to.insert(selected, tokenAt(selected), later())
  const bodies = async () => (await topics.messages(topic)).map(({ body }) => body)

  tableSinkConformance('a Kafka topic', {
    start: async () => {},
    stop: async () => {},
    clear: () => newTopic(),
    open: async () => sink(),
    contents: () => topics.messages(topic),
    badBody: async () => tooLarge(),
    away: async () => {
      await topics.secured.kafka.killBroker(0)
      return () => topics.secured.kafka.startBroker(0)
    },
    openWithoutRight: async () => {
      await topics.admin.deleteTopics({ topics: [topic] })
      return { sink: sink(), mend: () => topics.create(topic, 1) }
    },
    remembersForEver: false,
  })

  describe('what a message becomes', () => {
    beforeEach(() => newTopic(3))

    test('a record with the device as its key, all properties as headers, and the time at which it is stored', async () => {
      const [message = expect.fail('there is a message')] = messagesAt(7, ['{"t":1}'])
      const forged = { ...message, properties: { level: 'é', 'iothub-connection-device-id': 'x', __proto__x: '' } }
      const selected = {
        ...rangeAt(7, [['{"t":1}']]),
        messages: async function* () {
          yield [forged]
        },
      }
      const beforeMs = Date.now()
      await insert(sink(), selected)
      const [record = expect.fail('it is stored')] = await topics.records(topic)
      expect(record).toMatchObject({
        partition: partitionOfDevice(Buffer.from('device-0'), 3),
        key: Buffer.from('device-0'),
        value: Buffer.from('{"t":1}'),
      })
      expect(record.timestampMs).toBeGreaterThanOrEqual(beforeMs)
      expect(record.headers).toEqual({
        'penstock-message-id': 'test/0/7/0',
        'iothub-connection-device-id': 'device-0',
        'iothub-enqueuedtime': new Date(message.enqueuedAtMs).toISOString(),
        'iothub-content-type': 'application/json',
        'iothub-content-encoding': 'utf-8',
        level: 'é',
        '%69othub-connection-device-id': 'x',
        __proto__x: '',
      })
    })

    test('records compressed in each way are read, and a range of several requests is one transaction', async () => {
      const text = Array.from({ length: 900 }, (_, index) => `${index} ${'x'.repeat(1_000)}`)
      for (const [first, compression] of (['none', 'gzip', 'zstd'] as const).entries())
        await insert(sink({ compression }), rangeAt(first, [text]))
      expect((await bodies()).sort()).toEqual([...text, ...text, ...text].sort())
      // A control record in each of its partitions ends a transaction.
      const partitionsOfDevices = new Set([0, 1, 2].map((n) => partitionOfDevice(Buffer.from(`device-${n}`), 3)))
      const offsets = await topics.admin.fetchTopicOffsets(topic)
      const ends = offsets.reduce((sum, { high }) => sum + Number(high), 0)
      expect(ends).toBe(3 * (text.length + partitionsOfDevices.size))
    })
  })

  test('batches are Avro files that any reader decodes, each whole, and one that is too large is refused [G-5]', async () => {
    await newTopic(3)
    const to = sink({ format: 'batches' })
    const text = Array.from({ length: 6 }, () =>
      Array.from({ length: 15 }, () => randomBytes(3_000).toString('base64')),
    )
    const batches = text.map((each, first) => blocksOfBatch(batchFromMessages(messagesAt(first, each, 4))))
    const selected = { ...rangeAt(0, text, 4), avro: async () => [batchHeader, ...batches] }
    await insert(to, selected)
    await insert(to, selected)
    expect((await topics.messages(topic, 'batches')).map(({ body }) => body)).toEqual(text.flat())
    const records = await topics.records(topic)
    expect(new Set(records.map(({ partition }) => partition))).toEqual(new Set([1]))
    expect(records.length).toBeGreaterThan(1)
    const large = rangeAt(6, [[tooLarge()]], 4)
    await expect(insert(to, large)).rejects.toMatchObject({
      code: 'ENDPOINT_REFUSED',
      failure: 'MaxMessageSizeExceeded',
    })
    expect(await to.stored(large.range)).toBe(0)
  })

  describe('two that would store one partition', () => {
    beforeEach(() => newTopic())

    /** A process at the level of one partition, whose commits pass through `commit`, and which can fence others so often. */
    const process = async (
      commit: (send: () => Promise<unknown>) => Promise<unknown> = (send) => send(),
      fencesMax = Number.POSITIVE_INFINITY,
    ): Promise<KafkaPartition> => {
      let fences = 0
      const connection = new KafkaConnection(settingsOf(), { ownPorts: [], allowed: [] })
      opened.push(connection)
      await connection.refresh()
      const cluster: KafkaCluster = Object.create(connection.cluster, {
        findBroker: {
          value: async (node: { nodeId: number }): Promise<KafkaBroker> => {
            const broker = await connection.cluster.findBroker(node)
            const endTxn: KafkaBroker['endTxn'] = (request) => commit(() => broker.endTxn(request))
            const initProducerId: KafkaBroker['initProducerId'] = async (request) => {
              if (++fences > fencesMax) throw new Error('it does not get that far')
              return await broker.initProducerId(request)
            }
            return Object.create(broker, { endTxn: { value: endTxn }, initProducerId: { value: initProducerId } })
          },
        },
      })
      const { markerTopic } = connection
      const through = { cluster, markerTopic, shape: () => connection.shape() }
      const settings = { format: 'messages', compression: 'none' } as const
      return new KafkaPartition({ connection: through, transactionalId: 'penstock-p', settings, clock: systemClock })
    }
    const held = () => {
      const signal = () => {
        let resolve = (): void => {}
        const promise = new Promise<void>((done) => {
          resolve = done
        })
        return { promise, resolve }
      }
      return { reached: signal(), released: signal() }
    }

    test('what was paused within its transaction stores nothing, once another took the partition over [G-2] [G-10]', async () => {
      const { reached, released } = held()
      const selected = rangeAt(0, [Array.from({ length: 600 }, (_, index) => `${index} ${'x'.repeat(1_000)}`)])
      const paused: SelectedRange = {
        ...selected,
        messages: async function* () {
          yield* selected.messages()
          reached.resolve()
          await released.promise
        },
      }
      const [zombie, owner] = [await process(), await process()]
      const late = zombie.store(paused, later())
      await reached.promise
      expect(holds(await owner.mark(), selected.range)).toBe(false)
      await owner.store(selected, later())
      await owner.store(rangeAt(1, [['next']]), later())
      released.resolve()
      await expect(late).rejects.toMatchObject({ code: 'ENDPOINT_UNAVAILABLE' })
      expect(await bodies()).toHaveLength(601)
      // Even where it takes the partition back.
      await expect(zombie.store(partAt(0, ['a', 'b'], 0, 1), later())).resolves.toBeUndefined()
      expect(await bodies()).toHaveLength(601)
    })

    test('a commit that is sent late is refused, and the range is stored once [G-2] [G-10]', async () => {
      const { reached, released } = held()
      const zombie = await process(async (send) => {
        reached.resolve()
        await released.promise
        return send()
      })
      const owner = await process()
      const selected = rangeAt(0, [['a', 'b']])
      const late = zombie.store(selected, later())
      await reached.promise
      expect(holds(await owner.mark(), selected.range)).toBe(false)
      released.resolve()
      await expect(late).rejects.toMatchObject({ code: 'ENDPOINT_UNAVAILABLE' })
      expect(await bodies()).toEqual([])
      await owner.store(selected, later())
      expect(await bodies()).toEqual(['a', 'b'])
    })

    test('a commit whose answer is lost is found by whoever asks [G-2]', async () => {
      const cut = await process(async (send) => {
        await send()
        throw new Error('the answer is lost')
      })
      const selected = rangeAt(0, [['a', 'b']])
      await expect(cut.store(selected, later())).rejects.toMatchObject({ code: 'ENDPOINT_UNAVAILABLE' })
      for (const each of [await process(), cut]) {
        expect(holds(await each.mark(), selected.range)).toBe(true)
        await each.store(selected, later())
      }
      expect(await bodies()).toEqual(['a', 'b'])
    })

    test(`what is answered about a range stays true, whatever is under way (SEED=${seed}) [G-2]`, async () => {
      const random = seededRandom(seed)
      const stored: string[] = []
      for (let first = 0; first < 12; first++) {
        const [zombie, owner] = [await process(undefined, 1), await process()]
        await zombie.mark()
        const selected = rangeAt(first, [[`${first}`]])
        const settled = Promise.allSettled([zombie.store(selected, later())])
        await new Promise((resolve) => setTimeout(resolve, random.below(30)))
        const isStored = holds(await owner.mark(), selected.range)
        const [{ status }] = await settled
        if (isStored) stored.push(`${first}`)
        else expect(status, `round ${first}`).toBe('rejected')
        expect(await bodies(), `round ${first}, ${status}`).toEqual(stored)
      }
    })

    test('two hubs that write to one topic do not take each other for themselves', async () => {
      const [one, other] = [sink({}, { hubName: 'one' }), sink({}, { hubName: 'other' })]
      for (let first = 0; first < 4; first++) {
        await insert(one, rangeAt(first, [[`one ${first}`]]))
        await insert(other, rangeAt(first, [[`other ${first}`]]))
      }
      expect(await bodies()).toEqual([0, 1, 2, 3].flatMap((first) => [`one ${first}`, `other ${first}`]))
    })

    test('a position that was set back stores nothing twice, and says so', async () => {
      const to = sink()
      for (let first = 0; first < 12; first++) await insert(to, rangeAt(first, [[`${first}`]]))
      await expect(insert(to, rangeAt(0, [['0'], ['1']]))).rejects.toMatchObject({
        disposition: 'retry',
        message: expect.stringContaining('partition 0 is stored up to 11'),
      })
      expect(await bodies()).toHaveLength(12)
    })
  })

  describe('a marker topic', () => {
    beforeEach(() => newTopic())

    const settingOf = async (name: string, setting: string) => {
      const { resources } = await topics.admin.describeConfigs({
        includeSynonyms: false,
        resources: [{ type: kafkajs.ConfigResourceTypes.TOPIC, name, configNames: [setting] }],
      })
      return resources[0]?.configEntries[0]?.configValue
    }

    test('is made compacted, and holds one mark a partition', async () => {
      const to = sink()
      await insert(to, rangeAt(0, [['a']]))
      await insert(to, rangeAt(0, [['b']], 5))
      expect(await settingOf(`${topic}.penstock`, 'cleanup.policy')).toBe('compact')
      const marks = await topics.records(`${topic}.penstock`)
      expect(marks.map(({ key }) => key?.toString())).toEqual(['penstock-hub-test-0', 'penstock-hub-test-5'])
    })

    test('that would lose its marks holds, until it is mended', async () => {
      await topics.create('marks-with-retention', 1)
      const to = sink({ markerTopic: 'marks-with-retention' })
      await expect(insert(to, rangeAt(0, [['a']]))).rejects.toMatchObject({
        code: 'ENDPOINT_HELD',
        message: expect.stringContaining('cleanup.policy=compact'),
      })
      expect(await to.accepts()).toBe(false)
      const configEntries = [{ name: 'cleanup.policy', value: 'compact' }]
      const resources = [{ type: kafkajs.ConfigResourceTypes.TOPIC, name: 'marks-with-retention', configEntries }]
      await topics.admin.alterConfigs({ validateOnly: false, resources })
      await insert(to, rangeAt(0, [['a']]))
      expect(await bodies()).toEqual(['a'])
    })
  })

  describe('brokers that ask who comes', () => {
    beforeEach(() => newTopic())

    const secured = (changes: Partial<KafkaSettings> = {}) => {
      const { kafka, user, password, caFile } = topics.secured
      const brokers = kafka.listener('users')
      const ca = readFileSync(caFile, 'utf8')
      return sink({ brokers, tls: 'verified', ca, sasl: 'scram-sha-512', user, password, ...changes })
    }

    test.each(['plain', 'scram-sha-256', 'scram-sha-512'] as const)('let in who proves a user by %s', async (sasl) => {
      await insert(secured({ sasl }), rangeAt(0, [['a']]))
      expect(await bodies()).toEqual(['a'])
    })

    test('let in who shows a certificate', async () => {
      const { kafka, client } = topics.secured
      const [certificate, key] = [readFileSync(client.certFile, 'utf8'), readFileSync(client.keyFile, 'utf8')]
      await insert(secured({ brokers: kafka.listener('mutual'), sasl: 'none', certificate, key }), rangeAt(0, [['a']]))
      expect(await bodies()).toEqual(['a'])
    })

    test.each([
      ['a password that is wrong', { password: 'hunter2' }],
      ['a certificate of an authority that is not known', { ca: undefined }],
      ['a certificate that is none', { ca: 'nothing' }],
    ] as const)('%s holds, and is not repeated in the fault', async (_what, changes) => {
      const fault: unknown = await insert(secured(changes), rangeAt(0, [['a']])).catch((error: unknown) => error)
      expect(fault).toMatchObject({ code: 'ENDPOINT_HELD', failure: 'Unauthorized' })
      expect(String(fault)).not.toContain('hunter2')
    })

    test('a right that is missing holds, until each is given', async () => {
      const { limitedUser: user } = topics.secured
      const { AclResourceTypes, AclOperationTypes, AclPermissionTypes, ResourcePatternTypes } = kafkajs
      const give = (resourceType: number, resourceName: string, ...operations: readonly number[]) =>
        topics.admin.createAcls({
          acl: operations.map((operation) => ({
            resourceType,
            resourceName,
            resourcePatternType: ResourcePatternTypes.PREFIXED,
            principal: `User:${user}`,
            host: '*',
            operation,
            permissionType: AclPermissionTypes.ALLOW,
          })),
        })
      const { WRITE, READ, DESCRIBE, DESCRIBE_CONFIGS, CREATE } = AclOperationTypes
      // The mechanism by which this user is known.
      const to = secured({ sasl: 'plain', user })
      const expectHeld = () =>
        expect(insert(to, rangeAt(0, [['a']]))).rejects.toMatchObject({
          code: 'ENDPOINT_HELD',
          failure: 'Unauthorized',
        })
      await expectHeld()
      await give(AclResourceTypes.TOPIC, topic, WRITE, DESCRIBE)
      await expectHeld()
      await give(AclResourceTypes.TOPIC, `${topic}.penstock`, READ, CREATE, DESCRIBE_CONFIGS)
      await expectHeld()
      await give(AclResourceTypes.TRANSACTIONAL_ID, 'penstock-', WRITE)
      await insert(to, rangeAt(0, [['a']]))
      expect(await bodies()).toEqual(['a'])
    })

    test('an address that is not allowed is not connected to, whether it is named here or by a broker', async () => {
      const [port = 0] = topics.secured.kafka.brokers.map((broker) => Number(broker.split(':')[1]))
      for (const [brokers, ownPorts] of [
        ['169.254.169.254:9092', []],
        [`127.0.0.1:${port}`, [port]],
        [`localhost:${port}`, [port]],
      ] as const) {
        const to = sink({ brokers }, { ownPorts: [...ownPorts] })
        await expect(insert(to, rangeAt(0, [['a']]))).rejects.toMatchObject({ code: 'ENDPOINT_HELD' })
      }
      // A way to it that is allowed leads to a broker that names itself by its own address.
      const proxy = await startSwitchedProxy(port)
      try {
        const to = sink({ brokers: `127.0.0.1:${proxy.port}` }, { ownPorts: [port] })
        await expect(insert(to, rangeAt(0, [['a']]))).rejects.toMatchObject({ code: 'ENDPOINT_HELD' })
      } finally {
        await proxy.stop()
      }
    })
  })
})
