/** Kafka as managed ones are reached: over TLS, by certificate or as a user. */
import { once } from 'node:events'
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import kafkajs, { type AclOperationTypes, type AclResourceTypes } from 'kafkajs'
import mqtt from 'mqtt'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { kafkaMissing } from '#infra/testbed/kafka-jars.ts'
import { startPenstock } from '#infra/testbed/penstock.ts'
import { serverFor } from '#infra/testbed/require-server.ts'
import { type SecuredKafka, startSecuredKafka, unsignedToken } from '#infra/testbed/secured-kafka.ts'
import type { KafkaAccess, KafkaSasl } from '#pipeline/log/kafka-access.ts'
import type { Assignment, BatchStamp, GroupMember, Log } from '#pipeline/log/log.ts'
import { openLog } from '#pipeline/log/open/open-log.ts'
import { type Logger, silentLogger } from '#runtime/logger.ts'
import { envelopesOfBatch } from '#schemas/batch.ts'

const server = serverFor('Apache Kafka', kafkaMissing)

const stamp: BatchStamp = {
  schemaVersion: 1,
  edgeId: 'edge-1',
  epoch: 1,
  sequence: 0,
  messageCount: 1,
  enqueuedAtMsFirst: 0,
  enqueuedAtMsLast: 0,
}

describe.skipIf(server.skip)(`Kafka that asks who is there ${server.note}`, () => {
  let secured: SecuredKafka
  let tokens: TokenEndpoint
  beforeAll(async () => {
    secured = await startSecuredKafka()
    tokens = await startTokenEndpoint()
  })
  afterAll(async () => {
    tokens?.server.close()
    await secured?.stop()
  })

  const open = (
    broker: string,
    access: KafkaAccess,
    topic = `t${process.hrtime.bigint()}`,
    logger: Logger = silentLogger,
  ) =>
    openLog({
      kind: 'kafka',
      brokers: [broker],
      access,
      topic,
      partitionCount: 1,
      replicas: 1,
      retention: 'none',
      logger,
    })
  const users = () => secured.kafka.listener('users')
  const mutual = () => secured.kafka.listener('mutual')
  const asUser = (change: Partial<KafkaSasl> = {}): KafkaAccess => {
    const sasl = { mechanism: 'plain', username: secured.user, password: secured.password, ...change } as KafkaSasl
    return { tls: { caFile: secured.caFile }, sasl }
  }
  const byToken = (clientSecret = 'secret'): KafkaAccess => ({
    tls: { caFile: secured.caFile },
    sasl: { mechanism: 'oauthbearer', tokenUrl: tokens.url, clientId: 'client:1', clientSecret, scope: 'kafka' },
  })

  const ways: [string, () => string, () => KafkaAccess][] = [
    ['a user, PLAIN', users, () => asUser()],
    ['a user, SCRAM-SHA-256', users, () => asUser({ mechanism: 'scram-sha-256' })],
    ['a user, SCRAM-SHA-512', users, () => asUser({ mechanism: 'scram-sha-512' })],
    ['a token, OAUTHBEARER', users, () => byToken()],
    ['a certificate', mutual, () => ({ tls: { caFile: secured.caFile, client: secured.client } })],
  ]
  it.each(ways)(
    'what is appended over TLS with %s is read back whole, by a member of a group too',
    async (_, broker, access) => {
      const log = await open(broker(), access())
      const values = Array.from({ length: 20 }, (_, index) => Buffer.alloc(index === 10 ? 1_000_000 : 100, index))
      await Promise.all(values.map((value) => log.append(0, stamp, value)))
      expect(Buffer.concat(await readAll(log, values.length)).equals(Buffer.concat(values))).toBe(true)
      const { assignment, member } = await joined(log)
      const [record] = await assignment.read(0, 1, 5_000)
      expect(record?.value.length).toBe(100)
      await assignment.commit({ offset: 1, metadata: 'm' })
      expect(await log.positions('g')).toEqual([{ offset: 1, metadata: 'm' }])
      await (await member).close()
      await log.close()
    },
  )

  const refusals: [string, RegExp, () => string, () => KafkaAccess][] = [
    ['a wrong password', /refuses the user: .*PENSTOCK_KAFKA_PASSWORD/, users, () => asUser({ password: 'wrong' })],
    [
      'a wrong password, SCRAM',
      /refuses the user: .*PENSTOCK_KAFKA_PASSWORD/,
      users,
      () => asUser({ mechanism: 'scram-sha-512', password: 'wrong' }),
    ],
    [
      'a client secret that the token endpoint refuses',
      /OAUTH_URL refuses the client with 401/,
      users,
      () => byToken('no'),
    ],
    [
      'a token that has expired',
      /refuses the token of PENSTOCK_KAFKA_OAUTH_URL: .*invalid_token/,
      users,
      () => byToken('old'),
    ],
    [
      'an authority that is not the brokers’',
      /authority that is not trusted here: .*PENSTOCK_KAFKA_TLS_CA/,
      users,
      () => ({ ...asUser(), tls: { caFile: secured.foreignCaFile } }),
    ],
    [
      'no authority',
      /authority that is not trusted here: .*PENSTOCK_KAFKA_TLS_CA/,
      users,
      () => ({ ...asUser(), tls: {} }),
    ],
    [
      'a name that the certificate does not have',
      /certificate for other names/,
      () => users().replace('127.0.0.1', 'localhost'),
      asUser,
    ],
    ['no certificate', /refuses the certificate .*TLS_CERT/, mutual, () => ({ tls: { caFile: secured.caFile } })],
    [
      'a foreign certificate',
      /refuses the certificate .*TLS_CERT/,
      mutual,
      () => ({ tls: { caFile: secured.caFile, client: secured.foreignClient } }),
    ],
    ['no TLS, where there is', /speaks TLS there: set PENSTOCK_KAFKA_TLS=yes/, mutual, () => ({})],
    [
      'a user, where none is asked for',
      /asks for no user there: .*PENSTOCK_KAFKA_SASL=none/,
      () => secured.kafka.bootstrap,
      () => ({ sasl: { mechanism: 'plain', username: 'u', password: 'p' } }),
    ],
  ]
  it.concurrent.for(refusals)(
    '%s is refused by name, with what mends it',
    async ([, text, broker, access], { expect }) => {
      const opening = open(broker(), access()).then((log) => log.close())
      await expect(opening).rejects.toMatchObject({ code: 'LOG_ACCESS_REFUSED', message: expect.stringMatching(text) })
    },
  )

  const hints: [string, RegExp, () => string, () => KafkaAccess][] = [
    ['TLS to a port without', /closed a connection before TLS.*=no/, () => secured.kafka.bootstrap, () => asUser()],
    [
      'no user, where one is asked for',
      /closed a connection instead of answering: .*PENSTOCK_KAFKA_SASL/,
      users,
      () => ({ tls: { caFile: secured.caFile } }),
    ],
  ]
  it.concurrent.for(hints)(
    '%s, which a broker that starts looks like too, is warned of with what may mend it',
    async ([, text, broker, access], { expect }) => {
      const warnings: unknown[] = []
      const logger = { ...silentLogger, warn: (_: string, fields?: object) => void warnings.push(fields) }
      const opening = open(broker(), access(), 'hinted', logger).then((log) => log.close())
      await expect(opening).rejects.toMatchObject({ code: 'LOG_UNAVAILABLE', message: expect.stringMatching(text) })
      expect(warnings).toMatchObject([{ why: expect.stringMatching(text) }])
    },
  )

  it('a certificate that was replaced is what the next connection shows, without a restart', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'penstock-replaced-'))
    try {
      const client = { certFile: join(folder, 'client.pem'), keyFile: join(folder, 'client.key') }
      const replaceBy = ({ certFile, keyFile }: typeof client) => {
        copyFileSync(keyFile, client.keyFile)
        copyFileSync(certFile, client.certFile)
      }
      replaceBy(secured.client)
      const log = await open(mutual(), { tls: { caFile: secured.caFile, client } })
      replaceBy(secured.foreignClient)
      await expect(log.join('g', () => {})).rejects.toThrow(/alert/)
      replaceBy(secured.client)
      const { member } = await joined(log)
      await (await member).close()
      await log.close()
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })

  it('a user without the rights is told which; with those on a topic that exists, and on the group, all works', async () => {
    await (await open(secured.kafka.bootstrap, {}, 'lent')).close()
    const access = asUser({ username: secured.limitedUser })
    const text = /lacks a right for its user: .*Create/
    await expect(open(users(), access, 'lent')).rejects.toMatchObject({
      code: 'LOG_ACCESS_REFUSED',
      message: expect.stringMatching(text),
    })
    const { AclOperationTypes: may, AclResourceTypes: on } = kafkajs
    const rights: [AclResourceTypes, string, AclOperationTypes][] = [
      [on.TOPIC, 'lent', may.READ],
      [on.TOPIC, 'lent', may.WRITE],
      [on.TOPIC, 'lent', may.DESCRIBE_CONFIGS],
      [on.GROUP, 'g', may.READ],
    ]
    const admin = new kafkajs.Kafka({ brokers: [secured.kafka.bootstrap], logLevel: kafkajs.logLevel.NOTHING }).admin()
    await admin.connect()
    await admin.createAcls({
      acl: rights.map(([resourceType, resourceName, operation]) => ({
        resourceType,
        resourceName,
        operation,
        resourcePatternType: kafkajs.ResourcePatternTypes.LITERAL,
        principal: `User:${secured.limitedUser}`,
        host: '*',
        permissionType: kafkajs.AclPermissionTypes.ALLOW,
      })),
    })
    await admin.disconnect()
    const log = await open(users(), access, 'lent')
    await log.append(0, stamp, Buffer.from('a'))
    expect((await readAll(log, 1)).map(String)).toEqual(['a'])
    const { assignment, member } = await joined(log)
    await assignment.commit({ offset: 1, metadata: '' })
    await (await member).close()
    await log.close()
  })

  it('a session that ends is renewed with another token, and no append fails', { timeout: 60_000 }, async () => {
    tokens.lifeSeconds = 8
    const before = tokens.asked
    const log = await open(users(), byToken())
    let appended = 0
    while (tokens.asked < before + 3) {
      expect(await log.append(0, stamp, Buffer.from(String(appended)))).toBe(appended)
      appended++
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    expect((await readAll(log, appended)).map(String)).toEqual(
      Array.from({ length: appended }, (_, index) => String(index)),
    )
    await log.close()
    tokens.lifeSeconds = 3_600
  })

  it('messages of devices get into the log and out again, over a restart of the broker [G-1] [G-2]', async () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'penstock-access-'))
    const penstock = await startPenstock(dataDir, {
      PENSTOCK_KAFKA_BROKERS: users(),
      PENSTOCK_KAFKA_TLS_CA: secured.caFile,
      PENSTOCK_KAFKA_SASL: 'scram-sha-256',
      PENSTOCK_KAFKA_USER: secured.user,
      PENSTOCK_KAFKA_PASSWORD: secured.password,
      PENSTOCK_TOPIC_PREFIX: 'devices',
      PENSTOCK_PARTITIONS: '1',
    })
    try {
      const client = await mqtt.connectAsync(penstock.mqttUrl, { clientId: 'd' })
      const publish = (body: string) => client.publishAsync('devices/d/messages/events/', body, { qos: 1 })
      const bodies = Array.from({ length: 200 }, (_, index) => String(index))
      await Promise.all(bodies.slice(0, 100).map(publish))
      await secured.kafka.stopBroker(0)
      const rest = bodies.slice(100).map(publish)
      await secured.kafka.startBroker(0)
      await Promise.all(rest)
      await client.endAsync()
      const rows = async () => {
        const body = 'SELECT count(), uniqExact(body) FROM penstock.telemetry'
        return await (await fetch(penstock.clickhouseUrl, { method: 'POST', body })).text()
      }
      await expect.poll(rows, { timeout: 60_000 }).toBe('200\t200\n')
      const log = await open(users(), asUser(), 'devices.telemetry')
      const [range] = await log.ranges()
      const batches = await readAll(log, range?.next ?? 0)
      await log.close()
      const found = batches.flatMap(envelopesOfBatch).map(({ body }) => Buffer.from(body).toString())
      expect(found).toEqual(bodies)
      expect(penstock.output()).not.toContain(secured.password)
    } finally {
      await penstock.stop()
      rmSync(dataDir, { recursive: true, force: true })
    }
  })
})

/** The first partition that a member of the group `g` gets. */
function joined(log: Log): Promise<{ assignment: Assignment; member: Promise<GroupMember> }> {
  return new Promise((resolve) => {
    const member = log.join('g', (assignment) => resolve({ assignment, member }))
  })
}

async function readAll(log: Log, count: number): Promise<Buffer[]> {
  const values: Buffer[] = []
  while (values.length < count)
    for (const { value } of await log.read(0, values.length, 2_000_000)) values.push(Buffer.from(value))
  return values
}

interface TokenEndpoint {
  readonly server: Server
  readonly url: string
  asked: number
  lifeSeconds: number
}

/** Gives tokens to the client `client:1` for its secret; for `old` tokens that have expired. */
async function startTokenEndpoint(): Promise<TokenEndpoint> {
  const endpoint = { asked: 0, lifeSeconds: 3_600 }
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk) => chunks.push(chunk))
    request.on('end', () => {
      endpoint.asked++
      const [, credentials = ''] = (request.headers.authorization ?? '').split(' ')
      const [id, secret = ''] = Buffer.from(credentials, 'base64').toString().split(':')
      const form = new URLSearchParams(Buffer.concat(chunks).toString())
      const known = id === 'client%3A1' && ['secret', 'old'].includes(secret)
      const asked = form.get('grant_type') === 'client_credentials' && form.get('scope') === 'kafka'
      response.writeHead(known && asked ? 200 : 401, { 'content-type': 'application/json' })
      const life = secret === 'old' ? -600 : endpoint.lifeSeconds
      response.end(
        JSON.stringify(
          known && asked
            ? { access_token: unsignedToken('penstock', life), token_type: 'bearer', expires_in: life }
            : { error: 'invalid_client' },
        ),
      )
    })
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return Object.assign(endpoint, { server, url: `http://127.0.0.1:${port}/token` })
}
