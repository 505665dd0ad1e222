import { describe, expect, test } from 'vitest'
import { readTransfer } from './read-transfer.ts'

const uri = 'https://account.blob.core.windows.net/fleet?sv=2021-12-02&sp=rcwl&sig=a%2Fb%3D'
const read = (document: unknown) => readTransfer(Buffer.from(JSON.stringify(document)))
const invalid = (message: string) =>
  expect.objectContaining({ code: 'JOB_INVALID', message: expect.stringContaining(message) })

describe('a transfer', () => {
  test('is read as clients of the hub write it; what the hub makes itself is left aside', () => {
    const made = { jobId: '', status: 'unknown', progress: 0, failureReason: null, storageAuthenticationType: null }
    expect(read({ ...made, type: 'export', outputBlobContainerUri: uri, excludeKeysInExport: true })).toEqual({
      type: 'export',
      source: undefined,
      target: {
        endpoint: 'https://account.blob.core.windows.net/',
        container: 'fleet',
        sasToken: 'sv=2021-12-02&sp=rcwl&sig=a%2Fb%3D',
        blob: 'devices.txt',
      },
      isWithoutKeys: true,
    })
    const local = 'http://127.0.0.1:10000/account/fleet/?sig=x'
    const names = { inputBlobName: 'a/b.txt', outputBlobName: 'refused.log', storageAuthenticationType: 'KeyBased' }
    expect(read({ type: 'import', inputBlobContainerUri: local, outputBlobContainerUri: uri, ...names })).toMatchObject(
      {
        source: { endpoint: 'http://127.0.0.1:10000/account', container: 'fleet', blob: 'a/b.txt' },
        target: { blob: 'refused.log' },
        isWithoutKeys: false,
      },
    )
    expect(read({ type: 'import', inputBlobContainerUri: uri, outputBlobContainerUri: uri })).toMatchObject({
      source: { blob: 'devices.txt' },
      target: { blob: 'importErrors.log' },
    })
  })

  test.each([
    ['account', 'must be the address of a container'],
    [`${uri}#x`, 'must be the address of a container'],
    [uri.replace('//', '//user@'), 'must be the address of a container'],
    [`${uri}${'x'.repeat(5_000)}`, 'must be the address of a container'],
    ['ftp://account/fleet?sig=x', 'must be the address of a container'],
    [null, 'must be the address of a container'],
    [uri.replace('https:', 'http:'), 'must begin with https'],
    [uri.replace('fleet', ''), 'must name a container'],
    [uri.replace('fleet', 'Fleet'), 'must name a container'],
    [uri.replace('sig=', 'gis='), 'has no shared access signature'],
  ])('an address must be that of a container, with its signature, over TLS: not %s', (address, message) => {
    expect(() => read({ type: 'export', outputBlobContainerUri: address })).toThrow(invalid(message))
  })

  test.each([
    [{ type: 'copy' }, 'type must be export or import'],
    [{ storageAuthenticationType: 'identityBased' }, 'must be keyBased'],
    [{ includeConfigurations: true }, 'includeConfigurations is not offered'],
    [{ excludeKeysInExport: 'yes' }, 'must be true or false'],
    [{ outputBlobName: '../a' }, 'outputBlobName'],
    [{ outputBlobName: 'a?b' }, 'outputBlobName'],
    [{ outputBlobName: '' }, 'outputBlobName'],
    [{ type: 'import' }, 'inputBlobContainerUri'],
  ])('%j is refused with what is wrong', (changes, message) => {
    expect(() => read({ type: 'export', outputBlobContainerUri: uri, ...changes })).toThrow(invalid(message))
  })

  test('must be a JSON object', () => {
    expect(() => read([])).toThrow(invalid('a JSON object'))
    expect(() => readTransfer(Buffer.from('{'))).toThrow(expect.objectContaining({ code: 'REGISTRY_BODY_MALFORMED' }))
  })
})
