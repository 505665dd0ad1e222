import mqttPacket from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import { limits } from '#schemas/limits.ts'
import { assignedClientId, grantedKeepAliveSeconds, readConnect } from './connect.ts'

function connect(packet: Partial<mqttPacket.IConnectPacket>) {
  const base = { cmd: 'connect', clientId: 'd1', protocolId: 'MQTT', protocolVersion: 4, clean: false } as const
  return readConnect(mqttPacket.generate({ ...base, keepalive: 60, ...packet } as mqttPacket.IConnectPacket))
}

describe('CONNECT as the device SDKs of the hub send it', () => {
  test('a user name with any query, a token as password, a session to be kept', () => {
    const username = 'hub.test/d1/?api-version=2021-04-12&DeviceClientType=x%2F1%20(y)&model-id=dtmi%3Aa%3B1'
    const password = Buffer.from('SharedAccessSignature sr=hub.test%2Fdevices%2Fd1&sig=a%3D&se=1')
    const request = connect({ username, password })
    expect([request.username, request.password, request.version]).toEqual([username, password, 4])
  })

  test('a module, and a keep-alive of 0 or beyond the cap', () => {
    expect(connect({ clientId: 'd1/m1', keepalive: 0 })).toMatchObject({ clientId: 'd1/m1', keepAliveSeconds: 0 })
    const cap = limits.keepAliveSecondsMax
    expect([0, 1, 60, cap, cap + 1, 65_535].map(grantedKeepAliveSeconds)).toEqual([cap, 1, 60, cap, cap, cap])
  })

  test('a certificate needs no password, and an empty one is none', () => {
    expect(connect({ username: 'hub.test/d1/?api-version=1' }).password).toBeUndefined()
    expect(connect({ username: 'hub.test/d1/', password: Buffer.alloc(0) }).password?.length ?? 0).toBe(0)
  })

  test('a will with QoS 1, its flags kept', () => {
    const will = {
      topic: 'devices/d1/messages/events/a=b',
      payload: Buffer.from('gone'),
      qos: 1 as const,
      retain: true,
    }
    expect(connect({ will }).will).toMatchObject({ topic: will.topic, payload: will.payload, retain: true })
  })

  test('a client without an id is given one that no other has, and that a CONNECT may carry [MQTT-3.1.3-6]', () => {
    expect(connect({ clientId: '', clean: true }).clientId).toBe('')
    const ids = [assignedClientId(), assignedClientId()]
    expect(new Set(ids).size).toBe(2)
    for (const clientId of ids) expect(connect({ clientId }).clientId).toBe(clientId)
  })

  test('reserved bits of the first byte must be 0 [MQTT-2.2.2-1]', () => {
    const frame = Buffer.from('100d00044d5154540402003c000161', 'hex')
    expect(readConnect(frame).clientId).toBe('a')
    for (let bits = 1; bits < 16; bits++) {
      frame[0] = 0x10 | bits
      expect(() => readConnect(frame)).toThrow(expect.objectContaining({ code: 'INGEST_FRAME_MALFORMED' }))
    }
  })

  test('MQTT 3.1 is refused with its own code', () => {
    expect(() => connect({ protocolId: 'MQIsdp', protocolVersion: 3 })).toThrow(/level 3 is not offered/)
  })
})
