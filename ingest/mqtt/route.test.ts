/** The hub's topics and property bags, as its device SDKs write them. */
import { describe, expect, test } from 'vitest'
import { readTopic } from './route.ts'

const device = { deviceId: 'd1', moduleId: undefined }
const announced = { ...device, modelId: 'dtmi:a;1' }
const module = { deviceId: 'd1', moduleId: 'm1' }

function read(topic: string, publisher: { deviceId: string | undefined; moduleId: string | undefined } = device) {
  const { deviceId, properties, systemProperties } = readTopic(Buffer.from(topic), publisher)
  return [deviceId, Object.fromEntries(properties), Object.fromEntries(systemProperties)]
}

describe('telemetry topics', () => {
  test.each([
    ['devices/d1/messages/events', {}, {}],
    ['devices/d1/messages/events/', {}, {}],
    ['devices/d1/messages/events//', {}, {}],
    ['devices/d1/messages/events/a=b', { a: 'b' }, {}],
    ['devices/d1/messages/events/a=b/', { a: 'b' }, {}],
    ['devices/d1/messages/events/flag&empty=&a=b=c', { flag: '', empty: '', a: 'b=c' }, {}],
    ['devices/d1/messages/events/k%201=v%20%26%3D%25%C3%A9', { 'k 1': 'v &=%é' }, {}],
    [
      'devices/d1/messages/events/%24.mid=m-1&%24.ct=application%2Fjson&%24.ce=utf-8',
      {},
      { messageId: 'm-1', contentType: 'application/json', contentEncoding: 'utf-8' },
    ],
    [
      'devices/d1/messages/events/$.mid=m&$.cid=c&$.uid=u&$.exp=e&$.ctime=t&$.on=o&$.sub=s&$.ifid=i',
      {},
      {
        messageId: 'm',
        correlationId: 'c',
        userId: 'u',
        expiry: 'e',
        creationTime: 't',
        outputName: 'o',
        subject: 's',
        interfaceId: 'i',
      },
    ],
    ['devices/d1/messages/events/$.cdid=other&%24.cmid=other&a=b', { a: 'b' }, {}],
    ['devices/d1/messages/events/$.diagid=x&iothub-ack=full', { 'iothub-ack': 'full' }, { '$.diagid': 'x' }],
    ['devices/d1/messages/events/path=a/b/c', { path: 'a/b/c' }, {}],
  ])('%s', (topic, properties, systemProperties) => {
    expect(read(topic)).toEqual(['d1', properties, systemProperties])
  })

  test('tell the model that their device announced, whatever they say of it themselves', () => {
    expect(read('devices/d1/messages/events/modelId=b&$.modelId=c', announced)).toEqual([
      'd1',
      { modelId: 'b' },
      { modelId: 'dtmi:a;1', '$.modelId': 'c' },
    ])
    expect(read('a/b', announced)).toEqual(['d1', {}, { topic: 'a/b', modelId: 'dtmi:a;1' }])
  })

  test('of a module are its own only, and tell the module', () => {
    const topic = 'devices/d1/modules/m1/messages/events/a=b/'
    expect(read(topic, module)).toEqual(['d1', { a: 'b' }, { moduleId: 'm1' }])
    const notOwn = expect.objectContaining({ code: 'INGEST_TOPIC_NOT_OWN' })
    expect(() => read(topic)).toThrow(notOwn)
    expect(() => read('devices/d1/messages/events/', module)).toThrow(notOwn)
    expect(() => read('devices/d1/modules/m2/messages/events/', module)).toThrow(notOwn)
  })

  test.each(['devices/d2/messages/events/', 'devices/D1/messages/events/', 'devices/d/messages/events/'])(
    '%s belongs to another device [G-6]',
    (topic) => {
      expect(() => read(topic)).toThrow(expect.objectContaining({ code: 'INGEST_TOPIC_NOT_OWN' }))
    },
  )

  test.each([
    'devices/d1/messages/devicebound/',
    'devices/d1/messages/eventsx/',
    'devices/d1/other',
    'devices/d1',
    'devices',
    '$iothub/twin/GET/?$rid=1',
    '$SYS/x',
    '$SYS/broker/connection/x',
    '$SYS/broker/x/state',
    'devices/d1/messages/events/a=%zz',
    'devices/d1/messages/events/=b',
  ])('%s is refused', (topic) => {
    expect(() => read(topic)).toThrow(expect.objectContaining({ code: 'INGEST_TOPIC_REFUSED' }))
  })

  test.each(['', 'a/+', 'a/#'])('%s is no topic name at all [MQTT-3.3.2-2] [MQTT-4.7.3-1]', (topic) => {
    expect(() => read(topic)).toThrow(expect.objectContaining({ code: 'INGEST_FRAME_MALFORMED' }))
  })

  test('what a bridge says of its own connection is kept as any other topic, though it begins with $', () => {
    for (const name of ['host.bridge', 'd1/m1']) {
      const topic = `$SYS/broker/connection/${name}/state`
      expect(read(topic)).toEqual(['d1', {}, { topic }])
    }
  })

  test("any other topic is kept, under the connection's own device", () => {
    expect(read('home/kitchen')).toEqual(['d1', {}, { topic: 'home/kitchen' }])
    expect(read('home/kitchen', module)).toEqual(['d1', {}, { topic: 'home/kitchen', moduleId: 'm1' }])
  })
})
