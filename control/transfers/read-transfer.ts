/** Transfers as services write them. */
import { transferTypes } from '#control/jobs/jobs.ts'
import { isObject, type JsonObject, jsonFrom } from '#control/rest/json-body.ts'
import { isLoopbackAddress } from '#runtime/loopback.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import type { BlobAddress, ContainerAddress, NewTransfer } from './transfers.ts'

const devicesBlob = 'devices.txt'
const errorsBlob = 'importErrors.log'

/**
 * Reads `{"type","inputBlobContainerUri","inputBlobName","outputBlobContainerUri","outputBlobName","excludeKeysInExport"}`; what the hub makes
 * itself, such as the id, is left aside.
 * @throws JOB_INVALID, REGISTRY_BODY_MALFORMED
 */
export function readTransfer(body: Uint8Array): NewTransfer {
  const document = jsonFrom(body)
  if (!isObject(document)) throw transferFault('the body must be a JSON object')
  const type = transferTypes.find((known) => known === document.type)
  if (type === undefined) throw transferFault(`type must be ${transferTypes.join(' or ')}`)
  refuseIdentityBased(document)
  if (document.includeConfigurations === true)
    throw transferFault('includeConfigurations is not offered: configurations are few, and have /configurations')
  return {
    type,
    source: type === 'import' ? blobFrom(document, 'input', devicesBlob) : undefined,
    target: blobFrom(document, 'output', type === 'import' ? errorsBlob : devicesBlob),
    isWithoutKeys: isWithoutKeys(document),
  }
}

export function transferFault(message: string, cause?: unknown): PenstockError {
  return new PenstockError('JOB_INVALID', message, { cause })
}

/** Nobody here has an identity at a cloud. */
function refuseIdentityBased({ storageAuthenticationType: how }: JsonObject): void {
  if (how === undefined || how === null || (typeof how === 'string' && how.toLowerCase() === 'keybased')) return
  throw transferFault(
    'storageAuthenticationType must be keyBased: a container is opened by the signature in its address',
  )
}

function isWithoutKeys({ excludeKeysInExport: flag = false }: JsonObject): boolean {
  if (typeof flag === 'boolean') return flag
  if (flag === null) return false
  throw transferFault('excludeKeysInExport must be true or false')
}

function blobFrom(document: JsonObject, side: 'input' | 'output', blobDefault: string): BlobAddress {
  const blob = document[`${side}BlobName`] ?? blobDefault
  if (typeof blob !== 'string' || !isBlobName(blob))
    throw transferFault(
      `${side}BlobName must be 1 to 256 letters, digits or . _ - /, without empty parts or dots alone`,
    )
  return { ...containerFrom(document[`${side}BlobContainerUri`], `${side}BlobContainerUri`), blob }
}

function isBlobName(text: string): boolean {
  return text.length <= 256 && text.split('/').every((part) => /^[\w.-]+$/.test(part) && !/^\.+$/.test(part))
}

function containerFrom(value: unknown, field: string): ContainerAddress {
  const uri = typeof value === 'string' && value.length <= limits.transferUriBytesMax ? URL.parse(value) : null
  if (uri === null || !/^https?:$/.test(uri.protocol) || uri.username !== '' || uri.hash !== '')
    throw transferFault(`${field} must be the address of a container with its shared access signature, ${example}`)
  const isHere = uri.hostname === 'localhost' || isLoopbackAddress(uri.hostname.replace(/^\[|\]$/g, ''))
  if (uri.protocol === 'http:' && !isHere)
    throw transferFault(`${field} must begin with https: keys of devices would cross the network in the clear`)
  const parts = uri.pathname.split('/').filter((part) => part !== '')
  const container = parts.pop()
  if (container === undefined || !/^[a-z0-9$][a-z0-9-]{2,62}$/.test(container))
    throw transferFault(`${field} must name a container of 3 to 63 lower case letters, digits and dashes, ${example}`)
  if (!uri.searchParams.has('sig')) throw transferFault(`${field} has no shared access signature, ${example}`)
  return { endpoint: `${uri.origin}/${parts.join('/')}`, container, sasToken: uri.search.slice(1) }
}

const example = 'such as https://account.blob.core.windows.net/container?sv=…&sig=…'
