/** Files from a device over HTTP, and what services learn of them. */
import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { limits } from '#schemas/limits.ts'
import { CommandsInstallation } from './commands-fixture.ts'

const folder = mkdtempSync(join(tmpdir(), 'penstock-uploads-'))
const hub = new CommandsInstallation({ PENSTOCK_UPLOADS: folder, PENSTOCK_UPLOAD_MEGABYTES_MAX: '1' })
const mebibyte = 1024 * 1024

beforeAll(async () => {
  await hub.start()
  for (const deviceId of ['d1', 'd2', 'D1', 'greedy']) await hub.addDevice(deviceId)
}, 60_000)
afterAll(async () => {
  await hub.stop()
  rmSync(folder, { recursive: true, force: true })
})

interface Place {
  readonly correlationId: string
  readonly hostName: string
  readonly containerName: string
  readonly blobName: string
  readonly sasToken: string
}

const json = (body: unknown) => ({ headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) })

async function begin(deviceId: string, blobName: string): Promise<Place> {
  const answer = await hub.call(
    hub.tokenOf(deviceId),
    'POST',
    `/devices/${deviceId}/files?api-version=2021-04-12`,
    json({ blobName }),
  )
  expect(answer.status).toBe(200)
  return (await answer.json()) as Place
}

function end(deviceId: string, correlationId: string, isSuccess: boolean, path = ''): Promise<Response> {
  const call = json({ correlationId, isSuccess, statusCode: 201, statusDescription: 'said' })
  return hub.call(hub.tokenOf(deviceId), 'POST', `/devices/${deviceId}/files/notifications${path}`, call)
}

const blockBlob = { 'x-ms-blob-type': 'BlockBlob' }
const pathOf = ({ containerName, blobName }: Place): string =>
  `/${containerName}/${blobName.split('/').map(encodeURIComponent).join('/')}`

function put(place: Place, body: string | Uint8Array, query = '', headers: Record<string, string> = blockBlob) {
  return fetch(`${hub.url}${pathOf(place)}${place.sasToken}${query}`, { method: 'PUT', headers, body })
}

const blockIdOf = (index: number): string => Buffer.from(String(index).padStart(6, '0')).toString('base64')
const listOf = (ids: readonly string[]): string =>
  `<?xml version="1.0" encoding="utf-8"?><BlockList>${ids.map((id) => `<Latest>${id}</Latest>`).join('')}</BlockList>`
const codeOf = async (answer: Response) => [answer.status, answer.headers.get('x-ms-error-code')]

describe('a file of a device', () => {
  test('goes to its place in blocks, and is told to a service that reads it', async () => {
    const place = await begin('d1', 'logs/2026 é.bin')
    expect(place).toMatchObject({ hostName: hub.hub, containerName: 'device-files', blobName: 'd1/logs/2026 é.bin' })
    expect(place.sasToken).toMatch(/^\?sv=/)
    const blocks = [0, 1, 2].map(() => randomBytes(1000))
    const ids = blocks.map((_, index) => blockIdOf(index))
    const put201 = await Promise.all(
      ids.map((id, index) => put(place, blocks[index] ?? '', `&comp=block&blockid=${encodeURIComponent(id)}`)),
    )
    expect(put201.map(({ status }) => status)).toEqual([201, 201, 201])
    const order = [2, 0, 1, 0].map((index) => ids[index] ?? '')
    const made = await put(place, listOf(order), '&comp=blocklist', {})
    expect(made.status).toBe(201)
    for (const name of ['etag', 'last-modified', 'x-ms-request-id', 'x-ms-version'])
      expect(made.headers.get(name)).toBeTruthy()
    expect((await end('d1', place.correlationId, true)).status).toBe(204)
    expect((await end('d1', place.correlationId, true)).status).toBe(404)

    const told = await hub.asOwner('GET', '/messages/servicebound/filenotifications?api-version=2021-04-12')
    expect(told.headers.get('content-type')).toBe('application/vnd.microsoft.iothub.filenotification.json')
    const notification = (await told.json()) as { blobUri: string }
    expect(notification).toEqual({
      deviceId: 'd1',
      blobUri: 'https://hub.example:8443/device-files/d1/logs/2026%20%C3%A9.bin',
      blobName: 'd1/logs/2026 é.bin',
      lastUpdatedTime: expect.stringMatching(/^\d{4}-.*:\d\d\+00:00$/),
      blobSizeInBytes: 4000,
      enqueuedTimeUtc: expect.stringMatching(/^\d{4}-.*Z$/),
    })
    const lock = (told.headers.get('etag') ?? '').replaceAll('"', '')
    expect((await hub.asOwner('GET', '/messages/serviceBound/fileNotifications')).status).toBe(204)
    const path = `/messages/serviceBound/fileNotifications/${lock}`
    expect((await hub.asOwner('POST', `${path}/abandon`)).status).toBe(204)
    expect((await hub.asOwner('DELETE', path)).status).toBe(412)
    const again = await hub.asOwner('GET', '/messages/serviceBound/fileNotifications')
    const second = (again.headers.get('etag') ?? '').replaceAll('"', '')
    expect((await hub.asOwner('DELETE', `/messages/servicebound/filenotifications/${second}`)).status).toBe(204)

    const read = await hub.asOwner('GET', new URL(notification.blobUri).pathname)
    expect(Buffer.from(await read.arrayBuffer())).toEqual(
      Buffer.concat([2, 0, 1, 0].map((index) => blocks[index] ?? Buffer.alloc(0))),
    )
    expect(Object.fromEntries(read.headers)).toMatchObject({
      'content-disposition': 'attachment',
      'x-content-type-options': 'nosniff',
      'content-length': '4000',
    })
    await expect.poll(() => readdirSync(join(folder, '_uploads')).filter((name) => name !== 'parts')).toEqual([])
  })

  test('goes there whole, is read by its own leave, and replaces an older one unless the device says otherwise', async () => {
    const place = await begin('d1', 'photo.jpg')
    for (const text of ['first', 'second']) expect((await put(place, text)).status).toBe(201)
    const careful = await put(place, 'third', '', { ...blockBlob, 'If-None-Match': '*' })
    expect(await codeOf(careful)).toEqual([409, 'BlobAlreadyExists'])
    const address = `${hub.url}${pathOf(place)}${place.sasToken}`
    expect(await (await fetch(address)).text()).toBe('second')
    const head = await fetch(address, { method: 'HEAD' })
    expect([head.status, head.headers.get('content-length')]).toEqual([200, '6'])
    expect(readdirSync(join(folder, 'd1'))).toContain('photo.jpg')
    expect((await end('d1', place.correlationId, false, `/${place.correlationId}`)).status).toBe(204)
    expect((await hub.asOwner('GET', '/messages/serviceBound/fileNotifications')).status).toBe(204)
  })

  test('that arrives otherwise than was told is not stored, nor what is no request of a storage client', async () => {
    const place = await begin('d1', 'checked')
    const digest = createHash('md5').update('right').digest('base64')
    expect(await codeOf(await put(place, 'wrong', '', { ...blockBlob, 'Content-MD5': digest }))).toEqual([
      400,
      'Md5Mismatch',
    ])
    expect((await end('d1', place.correlationId, true)).status).toBe(400)
    expect((await put(place, 'right', '', { ...blockBlob, 'Content-MD5': digest })).status).toBe(201)
    expect(await codeOf(await put(place, 'x', '', {}))).toEqual([400, 'InvalidHeaderValue'])
    expect(await codeOf(await put(place, 'x', '', { 'x-ms-blob-type': 'PageBlob' }))).toEqual([
      400,
      'InvalidHeaderValue',
    ])
    expect(await codeOf(await put(place, 'x', '&comp=lease'))).toEqual([400, 'InvalidQueryParameterValue'])
    expect(await codeOf(await put(place, 'x', '&comp=block&blockid=..%2F..'))).toEqual([
      400,
      'InvalidQueryParameterValue',
    ])
    expect(await codeOf(await put(place, '<BlockList><Latest>x', '&comp=blocklist'))).toEqual([
      400,
      'InvalidXmlDocument',
    ])
    expect(await codeOf(await put(place, listOf([blockIdOf(1)]), '&comp=blocklist'))).toEqual([400, 'InvalidBlockList'])
    expect((await end('d1', place.correlationId, true)).status).toBe(204)
  })

  test('is bounded: whole, in blocks, and by what one upload may send', async () => {
    const place = await begin('d2', 'large')
    expect(await codeOf(await put(place, Buffer.alloc(mebibyte + 1)))).toEqual([413, 'RequestBodyTooLarge'])
    expect((await put(place, Buffer.alloc(mebibyte))).status).toBe(201)
    expect((await put(place, Buffer.alloc(mebibyte - 10), `&comp=block&blockid=${blockIdOf(1)}`)).status).toBe(201)
    expect((await put(place, Buffer.alloc(10), `&comp=block&blockid=${blockIdOf(2)}`)).status).toBe(201)
    expect(await codeOf(await put(place, Buffer.alloc(1), `&comp=block&blockid=${blockIdOf(3)}`))).toEqual([
      413,
      'RequestBodyTooLarge',
    ])
    const twice = [blockIdOf(1), blockIdOf(1)]
    expect(await codeOf(await put(place, listOf(twice), '&comp=blocklist'))).toEqual([413, 'RequestBodyTooLarge'])
    expect((await put(place, listOf([blockIdOf(1), blockIdOf(2)]), '&comp=blocklist')).status).toBe(201)
    expect((await end('d2', place.correlationId, true)).status).toBe(204)
  })

  test('a device has as many uploads under way as it may, and no more', async () => {
    const places = await Promise.all(
      Array.from({ length: limits.deviceUploadsMax }, (_, index) => begin('greedy', `f${index}`)),
    )
    const more = await hub.call(hub.tokenOf('greedy'), 'POST', '/devices/greedy/files', json({ blobName: 'more' }))
    expect([more.status, more.headers.get('iothub-errorcode')]).toEqual([
      403,
      'DeviceMaximumActiveFileUploadLimitExceeded',
    ])
    expect((await end('greedy', places[0]?.correlationId ?? '', false)).status).toBe(204)
    await begin('greedy', 'more')
  })
})

describe('who may write and read which file', () => {
  test('a device begins and ends its own uploads only, and one without its key none', async () => {
    const { correlationId } = await begin('d1', 'mine')
    const foreign = hub.tokenOf('d2')
    for (const token of [foreign, '']) {
      const begun = await hub.call(token, 'POST', '/devices/d1/files', json({ blobName: 'theirs' }))
      expect(begun.status).toBe(401)
      const ended = json({ correlationId, isSuccess: false })
      expect((await hub.call(token, 'POST', '/devices/d1/files/notifications', ended)).status).toBe(401)
    }
    expect((await end('d2', correlationId, false)).status).toBe(404)
    expect((await end('d1', correlationId, false)).status).toBe(204)
  })

  test('leave is good for its own file: not for one of another device, by whatever way the address leads there', async () => {
    const { sasToken, correlationId } = await begin('d1', 'own')
    const theirs = await begin('d2', 'own')
    await put(theirs, 'of d2')
    const { port } = new URL(hub.url)
    for (const path of [
      'd2/own',
      'd1/../d2/own',
      'd1/%2e%2e/d2/own',
      'd1%2f..%2fd2/own',
      'd1%2fown/../../d2/own',
      'd1/own/../own',
      'd1//own',
      'd1/own%00',
      'd1/%6fwn/',
      'D1/own',
      'd1\\own',
      '../device-files/d2/own',
      '',
    ]) {
      const status = await rawPut(Number(port), `/device-files/${path}${sasToken}`)
      expect([path, status === 403 || status === 404]).toEqual([path, true])
    }
    expect(await rawPut(Number(port), `/device-files/d1/%6f%77n${sasToken}`)).toBe(201)
    const read = await fetch(`${hub.url}${pathOf(theirs)}${theirs.sasToken}`)
    expect(await read.text()).toBe('of d2')
    for (const [deviceId, id] of [
      ['d1', correlationId],
      ['d2', theirs.correlationId],
    ] as const)
      await end(deviceId, id, false)
  })

  test.each([
    '../d2/f',
    'a/../../d2/f',
    '/etc/passwd',
    '%2e%2e/d2/f',
    'a\\..\\b',
    'a\u0000b',
    'a\ud800',
    '',
    'x'.repeat(1_025),
  ])('a file is not called %j', async (blobName) => {
    const answer = await hub.call(hub.tokenOf('d1'), 'POST', '/devices/d1/files', json({ blobName }))
    expect([answer.status, answer.headers.get('iothub-errorcode')]).toEqual([400, 'ArgumentInvalid'])
  })

  test('files are told apart where a file system would not, and lie nowhere but below their folder', async () => {
    for (const [deviceId, name, text] of [
      ['d1', 'Same', '1'],
      ['d1', 'same', '2'],
      ['D1', 'same', '3'],
      ['d1', 'same/same', '4'],
      ['d1', '\u00e9', '5'],
      ['d1', 'e\u0301', '6'],
    ] as const) {
      const place = await begin(deviceId, name)
      expect((await put(place, text)).status).toBe(201)
      await end(deviceId, place.correlationId, false)
    }
    const texts = ['d1/Same', 'd1/same', 'D1/same', 'd1/same/same', 'd1/\u00e9', 'd1/e\u0301'].map(async (path) =>
      (await hub.asOwner('GET', `/device-files/${encodeURI(path)}`)).text(),
    )
    expect(await Promise.all(texts)).toEqual(['1', '2', '3', '4', '5', '6'])
    const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => name.toLowerCase())
    expect(new Set(names).size).toBe(names.length)
  })

  test('files are read by services with ServiceConnect and a scope that covers them, and by nobody else', async () => {
    const place = await begin('d1', 'read')
    await put(place, 'x')
    await end('d1', place.correlationId, false)
    const path = pathOf(place)
    const { policies } = await hub.control.registry.trust.trust()
    const keyOf = (name: string): string => policies.find((policy) => policy.name === name)?.primaryKey ?? ''
    const as = async (policy: string, scope?: string): Promise<number> =>
      (await hub.call(hub.tokenOfPolicy(policy, keyOf(policy), scope), 'GET', path)).status
    expect(await as('service')).toBe(200)
    expect(await as('service', `${hub.hub}/device-files/d1`)).toBe(200)
    expect(await as('service', `${hub.hub}/device-files/d2`)).toBe(403)
    expect(await as('service', `${hub.hub}/api`)).toBe(403)
    for (const policy of ['device', 'registryRead', 'registryReadWrite'])
      expect([policy, await as(policy)]).toEqual([policy, 403])
    expect((await hub.call(hub.tokenOf('d1'), 'GET', path)).status).toBe(403)
    expect((await hub.call('', 'GET', path)).status).toBe(403)
    expect((await hub.asOwner('PUT', path, { headers: blockBlob, body: 'x' })).status).toBe(403)
    expect((await hub.asOwner('GET', '/device-files/d1')).status).toBe(403)
    expect((await hub.asOwner('GET', '/device-files/d1/absent')).status).toBe(404)
  })

  test('file notifications need ServiceConnect', async () => {
    const { policies } = await hub.control.registry.trust.trust()
    for (const { name, primaryKey } of policies) {
      const token = hub.tokenOfPolicy(name, primaryKey)
      const allowed = ['iothubowner', 'service'].includes(name)
      for (const [method, path] of [
        ['GET', ''],
        ['DELETE', '/x'],
        ['POST', '/x/abandon'],
      ] as const) {
        const answer = await hub.call(token, method, `/messages/serviceBound/fileNotifications${path}`)
        expect([name, method, answer.status !== 401]).toEqual([name, method, allowed])
      }
    }
  })
})

/** A path as it stands: clients change it before they send it. @returns the status */
function rawPut(port: number, path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => {
      const head = ['Host: localhost', 'x-ms-blob-type: BlockBlob', 'Content-Length: 4', 'Connection: close']
      socket.write(`PUT ${path} HTTP/1.1\r\n${head.join('\r\n')}\r\n\r\nevil`)
    })
    let answer = ''
    socket.on('data', (chunk) => {
      answer += chunk
    })
    socket.on('error', reject)
    socket.on('close', () => resolve(Number(answer.split(' ')[1])))
  })
}
