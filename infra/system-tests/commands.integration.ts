/** Commands from their sender over REST to the device over HTTP, and what the sender learns. */
import type { IPublishPacket, MqttClient } from 'mqtt'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runDeadCommandsCommand } from '#infra/commands/dead-commands.ts'
import { limits } from '#schemas/limits.ts'
import { CommandsInstallation } from './commands-fixture.ts'

const hub = new CommandsInstallation()

beforeAll(async () => {
  await hub.start()
  await hub.addDevice('d1')
  await hub.addDevice('d2')
  await hub.addDevice('d1', 'm1')
}, 60_000)
afterAll(() => hub.stop())

const lockOf = (answer: Response): string => (answer.headers.get('etag') ?? '').replaceAll('"', '')

async function receive(deviceId: string): Promise<Response> {
  const answer = await hub.asDevice(deviceId, 'GET', 'devicebound?api-version=2021-04-12')
  expect(answer.status).toBe(200)
  return answer
}

describe('a command over HTTP', () => {
  test('arrives with what its sender said, is counted while it waits, and ends with feedback', async () => {
    const sent = await hub.asOwner('POST', '/messages/deviceBound?api-version=2021-04-12', {
      body: 'open the gate',
      headers: {
        'iothub-to': '/devices/d1/messages/deviceBound',
        'iothub-messageid': 'm-1',
        'iothub-correlationid': 'c 1',
        'iothub-contenttype': 'text/plain',
        'iothub-ack': 'full',
        'iothub-app-level': '5 %&',
      },
    })
    expect(sent.status).toBe(204)
    const counted = await (await hub.asOwner('GET', '/devices/d1')).json()
    expect(counted).toMatchObject({ cloudToDeviceMessageCount: 1 })
    const answer = await receive('d1')
    expect(await answer.text()).toBe('open the gate')
    expect(Object.fromEntries(answer.headers)).toMatchObject({
      etag: expect.stringMatching(/^"[0-9a-f-]{36}"$/),
      'iothub-messageid': 'm-1',
      'iothub-correlationid': 'c 1',
      'iothub-to': '/devices/d1/messages/devicebound',
      'iothub-contenttype': 'text/plain',
      contenttype: 'text/plain',
      'iothub-ack': 'full',
      'iothub-deliverycount': '0',
      'iothub-app-level': '5 %&',
    })
    expect((await hub.asDevice('d1', 'GET', 'deviceBound')).status).toBe(204)
    expect((await hub.asDevice('d1', 'DELETE', `devicebound/${lockOf(answer)}`)).status).toBe(204)
    const again = await hub.asDevice('d1', 'DELETE', `devicebound/${lockOf(answer)}`)
    expect([again.status, again.headers.get('iothub-errorcode')]).toEqual([412, 'DeviceMessageLockLost'])

    const feedback = await hub.asOwner('GET', '/messages/serviceBound/feedback?api-version=2021-04-12')
    expect([feedback.status, feedback.headers.get('content-type')]).toEqual([
      200,
      'application/vnd.microsoft.iothub.feedback.json',
    ])
    const generation = (await (await hub.asOwner('GET', '/devices/d1')).json()) as { generationId: string }
    expect(await feedback.json()).toEqual([
      {
        originalMessageId: 'm-1',
        enqueuedTimeUtc: expect.stringMatching(/^\d{4}-.*Z$/),
        statusCode: 'Success',
        description: 'Success',
        deviceId: 'd1',
        deviceGenerationId: generation.generationId,
      },
    ])
    const path = `/messages/servicebound/feedback/${lockOf(feedback)}`
    expect((await hub.asOwner('GET', '/messages/serviceBound/feedback')).status).toBe(204)
    expect((await hub.asOwner('POST', `${path}/abandon`)).status).toBe(204)
    const second = await hub.asOwner('GET', '/messages/servicebound/feedback')
    expect(second.status).toBe(200)
    expect((await hub.asOwner('DELETE', path)).status).toBe(412)
    expect((await hub.asOwner('DELETE', `/messages/serviceBound/feedback/${lockOf(second)}`)).status).toBe(204)
  })

  test.each(['?api-version=2021-04-12&reject', '?reject=', '?%3Freject=true'])(
    'is refused by the device with %s, and is then a dead letter that is read and sent again',
    async (query) => {
      await hub.send('d1', query, { 'iothub-messageid': 'unwanted' })
      const refused = await receive('d1')
      expect((await hub.asDevice('d1', 'DELETE', `devicebound/${lockOf(refused)}${query}`)).status).toBe(204)
      const dead = (await (await hub.asOwner('GET', '/api/commands/dead?device=d1')).json()) as { id: number }[]
      expect(dead).toMatchObject([{ deviceId: 'd1', messageId: 'unwanted', reason: 'Rejected', deliveryCount: 0 }])
      const id = dead[0]?.id
      const whole = (await (await hub.asOwner('GET', `/api/commands/dead/${id}`)).json()) as { body: string }
      expect(Buffer.from(whole.body, 'base64').toString()).toBe(query)
      expect((await hub.asOwner('POST', `/api/commands/dead/${id}/resend`)).status).toBe(204)
      expect((await hub.asOwner('GET', `/api/commands/dead/${id}`)).status).toBe(404)
      const again = await receive('d1')
      expect(await again.text()).toBe(query)
      expect((await hub.asDevice('d1', 'DELETE', `devicebound/${lockOf(again)}`)).status).toBe(204)
    },
  )

  test('whose dead letters an operator sees, sends again and forgets, from the command line', async () => {
    const lines: string[] = []
    const run = async (...args: string[]) => {
      lines.length = 0
      await runDeadCommandsCommand(
        args,
        hub.commandOptions((line) => lines.push(line)),
      )
      return lines
    }
    for (const text of ['one', 'two']) {
      await hub.send('d2', text, { 'iothub-messageid': text, 'iothub-app-k': 'v' })
      const refused = await receive('d2')
      await hub.asDevice('d2', 'DELETE', `devicebound/${lockOf(refused)}?reject`)
    }
    const listed = await run('list', '--device', 'd2')
    expect(listed.map((line) => line.split('\t').slice(1, 3))).toEqual([
      ['d2', 'Rejected'],
      ['d2', 'Rejected'],
    ])
    const [first = ''] = listed.map((line) => line.split('\t')[0])
    expect((await run('show', first)).slice(-2)).toEqual(['k: v', 'one'])
    expect(await run('resend', first)).toEqual(['1 sent again'])
    expect(await run('resend', '--device', 'd2')).toEqual(['1 sent again'])
    for (const text of ['one', 'two']) {
      const again = await receive('d2')
      expect(await again.text()).toBe(text)
      await hub.asDevice('d2', 'DELETE', `devicebound/${lockOf(again)}?reject`)
    }
    const [third = ''] = (await run('list')).map((line) => line.split('\t')[0])
    expect(await run('purge', third)).toEqual(['1 forgotten'])
    expect(await run('purge', '--device', 'd2')).toEqual(['1 forgotten'])
    expect(await run('list', '--device', 'd2')).toEqual([])
    await expect(run('show', third)).rejects.toMatchObject({ code: 'CONTROL_REFUSED' })
    await expect(run('resend')).rejects.toMatchObject({ code: 'CONTROL_COMMAND_INVALID' })
    await expect(run('forget')).rejects.toMatchObject({ code: 'CONTROL_COMMAND_INVALID' })
  })

  test('that is abandoned comes again, in its place', async () => {
    for (const text of ['a', 'b']) await hub.send('d1', text)
    const first = await receive('d1')
    expect((await hub.asDevice('d1', 'POST', `devicebound/${lockOf(first)}/abandon`)).status).toBe(204)
    const again = await receive('d1')
    expect([await again.text(), again.headers.get('iothub-deliverycount')]).toEqual(['a', '1'])
    const purged = await hub.asOwner('DELETE', '/devices/d1/commands?api-version=2021-04-12')
    expect(await purged.json()).toEqual({ totalMessagesPurged: 2, deviceId: 'd1', moduleId: null })
    expect((await hub.asDevice('d1', 'DELETE', `devicebound/${lockOf(again)}`)).status).toBe(412)
  })

  test('that cannot be accepted is refused as the hub does', async () => {
    const send = async (path: string, headers: Record<string, string> = {}, body: string | Uint8Array = 'x') => {
      const answer = await hub.asOwner('POST', path, { headers, body })
      return [answer.status, answer.headers.get('iothub-errorcode')]
    }
    const toD1 = '/devices/d1/messages/deviceBound'
    expect(await send('/devices/nobody/messages/deviceBound')).toEqual([404, 'DeviceNotFound'])
    expect(await send('/devices/d1/modules/nobody/messages/deviceBound')).toEqual([404, 'ModuleNotFound'])
    expect(await send('/messages/devicebound')).toEqual([400, 'ArgumentInvalid'])
    expect(await send('/messages/devicebound', { 'iothub-to': '/devices/d1/messages/events' })).toEqual([
      400,
      'ArgumentInvalid',
    ])
    expect(await send(toD1, { 'iothub-ack': 'perhaps' })).toEqual([400, 'ArgumentInvalid'])
    expect(await send(toD1, { 'iothub-expiry': 'soon' })).toEqual([400, 'ArgumentInvalid'])
    expect(await send(toD1, {}, Buffer.alloc(limits.commandBytesMax + 1))).toEqual([413, 'MessageTooLarge'])
    const property = { 'iothub-app-large': 'x'.repeat(limits.commandPropertyBytesMax) }
    expect(await send(toD1, property)).toEqual([413, 'MessageTooLarge'])
    for (let count = 0; count < limits.commandsWaitingMax; count++) await hub.send('d2', String(count))
    expect(await send('/devices/d2/messages/deviceBound')).toEqual([403, 'DeviceMaximumQueueDepthExceeded'])
    await hub.asOwner('DELETE', '/devices/d2/commands')
  })

  test('whatever its properties are called and hold, no header is added to what the device gets', async () => {
    const odd = new Map([
      ['a b', 'one'],
      ['x\r\nSet-Cookie: y', 'two\r\nSet-Cookie: z'],
    ])
    await hub.control.registry.commands.send({
      deviceId: 'd2',
      moduleId: undefined,
      systemProperties: new Map(),
      applicationProperties: odd,
      body: Buffer.from('x'),
      ack: 'none',
      expiresAtMs: undefined,
    })
    const answer = await receive('d2')
    expect(answer.headers.get('set-cookie')).toBe(null)
    expect(answer.headers.get('iothub-app-a%20b')).toBe('one')
    expect(answer.headers.get('iothub-app-x%0d%0aset-cookie%3a%20y')).toBe('two Set-Cookie: z')
    await hub.asOwner('DELETE', '/devices/d2/commands')
  })
})

const filterOf = (deviceId: string): string => `devices/${deviceId}/messages/devicebound/#`
const waitingFor = async (deviceId: string): Promise<number> => {
  const device = await (await hub.asOwner('GET', `/devices/${deviceId}`)).json()
  return (device as { cloudToDeviceMessageCount: number }).cloudToDeviceMessageCount
}

/** What a client got, as it comes. */
function packetsOf(client: MqttClient): IPublishPacket[] {
  const packets: IPublishPacket[] = []
  client.on('message', (_topic, _body, packet) => packets.push(packet))
  return packets
}
const bodiesOf = (packets: readonly IPublishPacket[]): string[] => packets.map(({ payload }) => String(payload))

describe('a command over MQTT', () => {
  test.each([4, 5] as const)(
    'arrives, waiting or new, in the words of the hub, and its PUBACK completes it; protocol level %s',
    async (version) => {
      const deviceId = `mqtt-${version}`
      await hub.addDevice(deviceId)
      await hub.send(deviceId, 'waited', {
        'iothub-messageid': 'm-1',
        'iothub-contenttype': 'text/plain',
        'iothub-ack': 'full',
        'iothub-app-k': 'v &%',
      })
      const client = await hub.connect(deviceId, version)
      const packets = packetsOf(client)
      await client.subscribeAsync(filterOf(deviceId), { qos: 1 })
      await expect.poll(() => packets.length).toBe(1)
      const to = encodeURIComponent(`/devices/${deviceId}/messages/devicebound`)
      expect(packets[0]).toMatchObject({
        topic: `devices/${deviceId}/messages/devicebound/%24.mid=m-1&%24.to=${to}&%24.ct=text%2Fplain&iothub-ack=full&k=v%20%26%25`,
        qos: 1,
        dup: false,
        retain: false,
      })
      await expect.poll(() => waitingFor(deviceId)).toBe(0)
      const texts = Array.from({ length: 25 }, (_, index) => `new ${index}`)
      for (const text of texts) await hub.send(deviceId, text)
      await expect.poll(() => bodiesOf(packets)).toEqual(['waited', ...texts])
      await expect.poll(() => waitingFor(deviceId)).toBe(0)
      await client.endAsync()
    },
  )

  test('that is not acknowledged comes again to the next connection, before all others and marked so', async () => {
    await hub.addDevice('silent')
    const deaf = await hub.connect('silent', 4, { manualConnect: false })
    // MQTT.js acknowledges behind this handler, which never says that it is done.
    deaf.handleMessage = () => {}
    const first = await new Promise<IPublishPacket>((resolve, reject) => {
      deaf.on('packetreceive', (packet) => packet.cmd === 'publish' && resolve(packet))
      deaf.subscribeAsync(filterOf('silent'), { qos: 1 }).then(() => hub.send('silent', 'a'), reject)
    })
    expect([String(first.payload), first.dup]).toEqual(['a', false])
    await hub.send('silent', 'b')
    const client = await hub.connect('silent', 4)
    const packets = packetsOf(client)
    // Its session was kept, so it does not subscribe again.
    await expect.poll(() => bodiesOf(packets)).toEqual(['a', 'b'])
    expect(packets.map(({ dup }) => dup)).toEqual([true, false])
    await expect.poll(() => waitingFor('silent')).toBe(0)
    await Promise.all([client.endAsync(), deaf.endAsync(true)])
  })

  test('with QoS 0 is done with once it is written; without a subscription it waits', async () => {
    await hub.addDevice('careless')
    const client = await hub.connect('careless', 4)
    const packets = packetsOf(client)
    await hub.send('careless', 'early')
    expect(await waitingFor('careless')).toBe(1)
    await client.subscribeAsync(filterOf('careless'), { qos: 0 })
    await expect.poll(() => bodiesOf(packets)).toEqual(['early'])
    expect(packets[0]?.qos).toBe(0)
    await expect.poll(() => waitingFor('careless')).toBe(0)
    await client.unsubscribeAsync(filterOf('careless'))
    await hub.send('careless', 'late')
    await client.endAsync()
    expect(await waitingFor('careless')).toBe(1)
  })

  test('reaches nobody who asks for that of another', async () => {
    await hub.addDevice('eavesdropper')
    const client = await hub.connect('eavesdropper', 5)
    const [granted] = await client.subscribeAsync(filterOf('d1'), { qos: 1 }).catch(() => [undefined])
    expect(granted?.qos ?? 128).toBeGreaterThanOrEqual(128)
    await client.endAsync(true)
  })
})

describe('who may do what with commands', () => {
  test('a device has its own queue only, a module its own, and neither that of the other', async () => {
    await hub.send('d1', 'for d1')
    const read = (token: string, owner: string) => hub.call(token, 'GET', `/${owner}/messages/devicebound`)
    for (const [token, owner] of [
      [hub.tokenOf('d2'), 'devices/d1'],
      [hub.tokenOf('d1', 'm1'), 'devices/d1'],
      [hub.tokenOf('d1'), 'devices/d1/modules/m1'],
      ['', 'devices/d1'],
    ] as const)
      expect([owner, (await read(token, owner)).status]).toEqual([owner, 401])
    expect((await read(hub.tokenOf('d1', 'm1'), 'devices/d1/modules/m1')).status).toBe(204)
    const held = await receive('d1')
    for (const [method, path] of [
      ['DELETE', ''],
      ['DELETE', '?reject'],
      ['POST', '/abandon'],
    ] as const) {
      const [lock, extra] = [lockOf(held), path]
      const own = `/devices/d2/messages/devicebound/${lock}${extra}`
      expect((await hub.call(hub.tokenOf('d2'), method, own)).status).toBe(412)
      const foreign = `/devices/d1/messages/devicebound/${lock}${extra}`
      expect((await hub.call(hub.tokenOf('d2'), method, foreign)).status).toBe(401)
    }
    expect((await hub.asDevice('d1', 'DELETE', `devicebound/${lockOf(held)}`)).status).toBe(204)
  })

  test('sending, purging, feedback and dead letters need ServiceConnect, and a scope that covers them', async () => {
    const { policies } = await hub.control.registry.trust.trust()
    const operations = [
      ['POST', '/messages/deviceBound'],
      ['POST', '/devices/d1/messages/deviceBound'],
      ['DELETE', '/devices/d1/commands'],
      ['GET', '/messages/serviceBound/feedback'],
      ['DELETE', '/messages/serviceBound/feedback/x'],
      ['POST', '/messages/serviceBound/feedback/x/abandon'],
      ['GET', '/api/commands/dead'],
      ['DELETE', '/api/commands/dead?device=d1'],
      ['GET', '/api/commands/dead/1'],
      ['POST', '/api/commands/dead/1/resend'],
      ['DELETE', '/api/commands/dead/1'],
    ] as const
    for (const { name, rights, primaryKey } of policies)
      for (const [method, path] of operations) {
        const { status } = await hub.call(hub.tokenOfPolicy(name, primaryKey), method, path)
        expect([name, method, path, status === 401]).toEqual([name, method, path, !rights.includes('ServiceConnect')])
      }
    const ofD2 = hub.tokenOfPolicy('iothubowner', hub.control.ownerKey, `${hub.hub}/devices/d2`)
    for (const [method, path] of operations) expect((await hub.call(ofD2, method, path)).status).toBe(401)
    for (const [method, path] of operations) expect((await hub.call(hub.tokenOf('d1'), method, path)).status).toBe(401)
  })
})
