import { expect, test } from 'vitest'
import { LinkedDevices } from './hub-devices.ts'
import { OutgoingRequests } from './outgoing-requests.ts'

test('a linked hub that shows a device without its etag is none to register with: nothing could be taken back by it', async () => {
  const outgoing = new OutgoingRequests({ ownPorts: [], allowed: [] })
  const asked: string[] = []
  outgoing.send = async ({ method }) => {
    asked.push(method)
    return { status: method === 'GET' && asked.length === 1 ? 404 : 200, body: { deviceId: 'd' } }
  }
  const hub = new LinkedDevices({ hostName: 'hub.test', policyName: 'p', key: 'a2V5', weight: 1 } as never, outgoing)
  const sas = { kind: 'sas', primaryKey: 'k', secondaryKey: 'k', primaryThumbprint: undefined } as const
  const wanted = {
    deviceId: 'd',
    iotEdge: false,
    twin: undefined,
    isThere: false,
    isOwn: true,
    left: [],
    leaving: undefined,
    intend: async () => undefined,
  }
  const refused = expect.objectContaining({ code: 'PROVISIONING_UNREACHABLE' })
  const give = () => hub.give({ ...wanted, authentication: { ...sas, secondaryThumbprint: undefined } as never })
  await expect(give()).rejects.toEqual(refused)
  expect(asked).toEqual(['GET', 'PUT'])
  await expect(give()).rejects.toEqual(refused)
  await expect(hub.seen('d')).rejects.toEqual(refused)
  expect(asked).toEqual(['GET', 'PUT', 'GET', 'GET'])
})
