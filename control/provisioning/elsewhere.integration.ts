/** Devices that are sent to another hub, which is a whole control plane behind TLS, and hubs that somebody else chooses. */
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import {
  createServer as createHttpServer,
  type Server as HttpServer,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createServer, type Server } from 'node:tls'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { admissionRules } from '#control/auth/admission-rules.ts'
import { type Control, openControl } from '#control/open-control.ts'
import { openRegistry, type Registry } from '#control/open-registry.ts'
import { makeCertificate } from '#runtime/certificate-maker.ts'
import { type HttpService, httpService } from '#runtime/http/http.ts'
import { silentLogger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import { metricsTable } from '#schemas/metrics.ts'
import { enrolmentFrom } from './enrolment-document.ts'
import { OutgoingRequests } from './outgoing-requests.ts'
import { tokenOf } from './registrar.conformance.ts'
import { usualRegistrarRules } from './sql-registrar.ts'

const key = Buffer.alloc(32, 7).toString('base64')
const here = 'here.penstock.test'

type State = Record<string, unknown>

describe('a provisioning service with two hubs', () => {
  const folder = mkdtempSync(join(tmpdir(), 'penstock-linked-'))
  let registry: Registry
  let linked: Control
  let linkedName = ''
  let service: HttpService
  let tls: Server
  let chooser: HttpServer
  let choose: (asked: State, answer: ServerResponse) => void = () => {}
  let asked: State[] = []

  beforeAll(async () => {
    const times = { notBeforeMs: Date.now() - 60_000, notAfterMs: Date.now() + 3_600_000 }
    const authority = makeCertificate({ commonName: 'test authority', authority: true, ...times })
    const server = makeCertificate({
      commonName: 'localhost',
      hosts: ['localhost'],
      use: 'server',
      issuer: authority,
      ...times,
    })
    linked = await openControl({
      dataDir: folder,
      postgresUrl: undefined,
      postgresConnectionsMax: 1,
      ownerKey: undefined,
      rules: admissionRules('localhost', 300),
      metrics: new Metrics(metricsTable),
      logger: silentLogger,
      audit: silentLogger,
    })
    service = httpService({ routes: (router) => linked.registerRoutes(router, true) })
    tls = createServer({ cert: server.certificatePem, key: server.privateKeyPem }, (socket) => service.accept(socket))
    await once(tls.listen(0, '127.0.0.1'), 'listening')
    linkedName = `localhost:${(tls.address() as AddressInfo).port}`
    chooser = createHttpServer((request, answer) => void answerChoice(request, answer))
    await once(chooser.listen(0, '127.0.0.1'), 'listening')
    registry = await openRegistry({
      postgresUrl: undefined,
      dataDir: undefined,
      connectionsMax: 1,
      logger: silentLogger,
      registrarRules: { ...usualRegistrarRules, hubName: here, outgoingAuthority: authority.certificatePem },
    })
    await registry.linkedHubs.put({ hostName: linkedName, policyName: 'iothubowner', key: linked.ownerKey, weight: 1 })
  })

  afterAll(async () => {
    await registry.close()
    chooser.close()
    tls.close()
    await service.close(0)
    await linked.close()
    rmSync(folder, { recursive: true, force: true })
  })

  async function answerChoice(request: IncomingMessage, answer: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const document = JSON.parse(Buffer.concat(chunks).toString())
    asked.push(document)
    choose(document, answer)
  }

  function enrol(id: string, document: object): Promise<unknown> {
    const attestation = { type: 'symmetricKey', symmetricKey: { primaryKey: key, secondaryKey: key } }
    return registry.enrolments.put('individual', id, undefined, (before) =>
      enrolmentFrom('individual', { attestation, ...document }, id, before),
    )
  }

  /** Registers, and asks until it is known what became of it. */
  async function register(registrationId: string, payload?: unknown): Promise<State> {
    const text = payload === undefined ? undefined : JSON.stringify(payload)
    const request = {
      registrationId,
      certificates: [],
      token: undefined,
      operationId: undefined,
      payload: text,
      ...tokenOf(registrationId, key),
    }
    const begun = JSON.parse((await registry.registrar.provision({ step: 'register', ...request })).body)
    let state: State = {}
    await expect
      .poll(
        async () => {
          const { body } = await registry.registrar.provision({
            step: 'status',
            ...request,
            operationId: begun.operationId,
          })
          state = JSON.parse(body).registrationState ?? {}
          return state.status
        },
        { timeout: 30_000 },
      )
      .toMatch(/assigned|failed/)
    return state
  }

  /** Registers, and asks nothing more. */
  const begin = (registrationId: string) => {
    const nothing = { certificates: [], operationId: undefined, payload: undefined }
    const proof = { token: undefined, ...tokenOf(registrationId, key) }
    return registry.registrar.provision({ step: 'register', registrationId, ...nothing, ...proof })
  }

  const idOf = (deviceId: string) => ({ deviceId, moduleId: undefined })
  const webhook = () => ({
    allocationPolicy: 'custom',
    customAllocationDefinition: { webhookUrl: `http://127.0.0.1:${(chooser.address() as AddressInfo).port}/choose` },
  })

  test('a device is made at the other hub, moves with its twin, begins anew, or stays, as its enrolment says', async () => {
    const initialTwin = { tags: { first: 1 }, properties: { desired: { speed: 1 } } }
    await enrol('mover', { iotHubs: [linkedName], allocationPolicy: 'static', initialTwin })
    expect(await register('mover')).toMatchObject({
      assignedHub: linkedName,
      deviceId: 'mover',
      substatus: 'initialAssignment',
    })
    expect((await linked.registry.identities.get(idOf('mover')))?.authentication).toMatchObject({ primaryKey: key })
    const patch = { tags: { hall: 'b' }, desired: { speed: 2 } }
    expect((await linked.registry.twins.update(idOf('mover'), patch, undefined)).twin.tags).toEqual({
      first: 1,
      hall: 'b',
    })
    expect(await registry.identities.get(idOf('mover'))).toBeUndefined()

    await enrol('mover', { iotHubs: [here], allocationPolicy: 'static', initialTwin })
    expect(await register('mover')).toMatchObject({ assignedHub: here, substatus: 'deviceDataMigrated' })
    expect((await registry.twins.get(idOf('mover'))).twin).toMatchObject({
      tags: { first: 1, hall: 'b' },
      desired: { value: { speed: 2 } },
    })
    expect((await registry.identities.get(idOf('mover')))?.authentication).toMatchObject({ primaryKey: key })
    await expect.poll(() => linked.registry.identities.get(idOf('mover'))).toBeUndefined()

    const reset = { updateHubAssignment: true, migrateDeviceData: false }
    await enrol('mover', { iotHubs: [linkedName], allocationPolicy: 'static', initialTwin, reprovisionPolicy: reset })
    expect(await register('mover')).toMatchObject({ assignedHub: linkedName, substatus: 'deviceDataReset' })
    expect((await linked.registry.twins.get(idOf('mover'))).twin).toMatchObject({
      tags: { first: 1 },
      desired: { value: { speed: 1 } },
    })
    await expect.poll(() => registry.identities.get(idOf('mover'))).toBeUndefined()

    const keep = { updateHubAssignment: false, migrateDeviceData: false }
    await enrol('mover', { iotHubs: [here], allocationPolicy: 'static', reprovisionPolicy: keep })
    expect(await register('mover')).toMatchObject({ assignedHub: linkedName })
  })

  test('a device that the hub before does not let go has its new hub', async () => {
    await enrol('held', { iotHubs: [linkedName], allocationPolicy: 'static' })
    expect(await register('held')).toMatchObject({ assignedHub: linkedName })
    await enrol('held', { iotHubs: [here], allocationPolicy: 'static' })
    const removal = vi.spyOn(linked.registry.identities, 'delete').mockRejectedValue(new Error('not now'))
    try {
      await register('held')
      await expect.poll(() => removal.mock.calls.length).toBeGreaterThan(0)
      await expect.poll(async () => (await registry.registrations.get('held'))?.status).toBe('assigned')
    } finally {
      removal.mockRestore()
    }
    expect(await register('held')).toMatchObject({ assignedHub: here })
  })

  test('a device that comes back to a hub which still has it is written anew there, so that a late removal leaves it', async () => {
    const identities = { [here]: registry.identities, [linkedName]: linked.registry.identities }
    const removals = Object.values(identities).map((each) => vi.spyOn(each, 'delete').mockResolvedValue(undefined))
    try {
      for (const [moves, hub] of [here, linkedName, here, linkedName].entries()) {
        const etag = async () => (await identities[hub]?.get(idOf('returns')))?.etag
        const before = await etag()
        await enrol('returns', { iotHubs: [hub], allocationPolicy: 'static' })
        expect(await register('returns')).toMatchObject({ assignedHub: hub })
        expect(await etag()).not.toBe(before)
        await expect.poll(() => removals.flatMap(({ mock }) => mock.calls).length).toBe(moves)
      }
    } finally {
      for (const removal of removals) removal.mockRestore()
    }
  })

  test('a registration that is deleted while a function chooses gives no hub a device', async () => {
    choose = (_document, answer) => {
      choose = (_again, refusal) => refusal.writeHead(403).end()
      void registry.registrations
        .delete('withdrawn', undefined)
        .then(() => answer.end(JSON.stringify({ iotHubHostName: linkedName })))
    }
    await enrol('withdrawn', webhook())
    await begin('withdrawn')
    await expect.poll(() => registry.registrations.get('withdrawn')).toBeUndefined()
    // What is under way ends before another one begins.
    await expect
      .poll(async () => {
        const registration = await registry.registrations.get('withdrawn')
        if (registration === undefined) await begin('withdrawn')
        return registration?.status
      })
      .toBe('failed')
    expect(await linked.registry.identities.get(idOf('withdrawn'))).toBeUndefined()
  })

  test.each([
    ['deleted', here, () => registry.enrolments.delete('individual', 'disenrolled', undefined)],
    ['disabled', here, () => enrol('disenrolled', { ...webhook(), provisioningStatus: 'disabled' })],
    ['deleted', 'the other', () => registry.enrolments.delete('individual', 'disenrolled', undefined)],
  ] as const)(
    'an enrolment that is %s while a function chooses %s hub gives it no device',
    async (_what, hub, withdraw) => {
      choose = (_document, answer) =>
        void withdraw().then(() => answer.end(JSON.stringify({ iotHubHostName: hub === here ? here : linkedName })))
      await enrol('disenrolled', webhook())
      await begin('disenrolled')
      await expect
        .poll(() => registry.registrations.get('disenrolled'))
        .toMatchObject({
          status: 'failed',
          fault: { code: 401_002 },
        })
      for (const { identities } of [registry, linked.registry])
        expect(await identities.get(idOf('disenrolled'))).toBeUndefined()
    },
  )

  test('a registration that is deleted while the other hub makes the device leaves none there', async () => {
    const { identities } = linked.registry
    const create = identities.create.bind(identities)
    const creation = vi.spyOn(identities, 'create').mockImplementation(async (content) => {
      const made = await create(content)
      await registry.registrations.delete('late', undefined)
      return made
    })
    const removal = vi.spyOn(identities, 'delete')
    try {
      await enrol('late', { iotHubs: [linkedName], allocationPolicy: 'static' })
      await begin('late')
      await expect.poll(() => removal.mock.calls.length).toBe(1)
      await removal.mock.results[0]?.value
    } finally {
      creation.mockRestore()
      removal.mockRestore()
    }
    expect(await identities.get(idOf('late'))).toBeUndefined()
    expect(await registry.registrations.get('late')).toBeUndefined()
  })

  test('what the other hub has of others is not taken over', async () => {
    const { authentication } = await linked.registry.identities.create({
      ...idOf('theirs'),
      ...({ status: 'enabled', statusReason: undefined, iotEdge: false } as const),
      ...{ deviceScope: undefined, parentScope: undefined, managedBy: undefined },
      authentication: {
        kind: 'sas',
        primaryKey: undefined,
        secondaryKey: undefined,
        primaryThumbprint: undefined,
        secondaryThumbprint: undefined,
      },
    })
    await enrol('theirs', { iotHubs: [linkedName], allocationPolicy: 'static' })
    expect(await register('theirs')).toMatchObject({ status: 'failed', errorCode: 409_202 })
    expect((await linked.registry.identities.get(idOf('theirs')))?.authentication).toEqual(authentication)
  })

  test('a function chooses the hub, the first twin and what the device is told; it is told no key, and asked again where it is busy', async () => {
    let busy = 2
    choose = (_document, answer) => {
      if (busy-- > 0) answer.writeHead(429).end()
      else
        answer.end(
          JSON.stringify({
            iotHubHostName: linkedName,
            initialTwin: { tags: { by: 'function' } },
            payload: { hello: 'é' },
          }),
        )
    }
    asked = []
    await enrol('custom', webhook())
    expect(await register('custom', { model: 'x' })).toMatchObject({ assignedHub: linkedName, payload: { hello: 'é' } })
    expect(asked).toHaveLength(3)
    expect(asked[2]).toMatchObject({
      individualEnrollment: { registrationId: 'custom' },
      deviceRuntimeContext: { registrationId: 'custom', symmetricKey: {}, payload: { model: 'x' } },
      linkedHubs: [here, linkedName],
    })
    expect(JSON.stringify(asked)).not.toContain(key)
    expect((await linked.registry.twins.get(idOf('custom'))).twin.tags).toEqual({ by: 'function' })
    choose = (document, answer) => {
      expect(document).toMatchObject({ deviceRuntimeContext: { currentIotHubHostName: linkedName } })
      answer.end(JSON.stringify({ iotHubHostName: linkedName.toUpperCase() }))
    }
    expect(await register('custom')).toMatchObject({ assignedHub: linkedName })
  })

  test.each<[string, (answer: ServerResponse) => void, number]>([
    ['a hub that is not linked', (answer) => answer.end('{"iotHubHostName":"elsewhere"}'), 400_208],
    ['no hub', (answer) => answer.end('{}'), 400_209],
    ['a refusal', (answer) => answer.writeHead(403).end(), 400_209],
    ['a redirect', (answer) => answer.writeHead(302, { Location: 'http://127.0.0.1:1/' }).end(), 400_209],
    ['an answer without end', (answer) => answer.end(Buffer.alloc(100_000, 0x20)), 400_209],
    [
      'a twin that is not allowed',
      (answer) => answer.end(`{"iotHubHostName":"${here}","initialTwin":{"tags":{"a.b":1}}}`),
      400_209,
    ],
  ])('a function that answers with %s fails the registration', async (_what, answer, errorCode) => {
    choose = (_document, response) => answer(response)
    await enrol('refused', webhook())
    expect(await register('refused')).toMatchObject({ status: 'failed', errorCode })
    expect(await registry.identities.get(idOf('refused'))).toBeUndefined()
  })

  test.each([
    ['the metadata service of a cloud', 'https://169.254.169.254/'],
    ['clear text over the network', 'http://192.0.2.1/'],
    ['an address of this machine, beyond loopback', 'https://127.0.0.1:1/'],
    ['the same by name', 'https://localhost:1/'],
  ])('%s is not asked', async (_what, address) => {
    const outgoing = new OutgoingRequests({ ownPorts: [], allowed: [], isMachineRefused: true })
    await expect(outgoing.send({ method: 'POST', url: new URL(address), body: {} })).rejects.toThrow(
      /is an address of this|over https only/,
    )
  })
})
