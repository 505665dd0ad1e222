/**
 * The endpoint of files: what storage clients of the hub's SDKs need of Azure Blob's REST interface.
 *
 *   PUT /device-files/{d}/{name}?{leave}                          the file whole (x-ms-blob-type: BlockBlob)   201
 *   PUT /device-files/{d}/{name}?{leave}&comp=block&blockid={b}   a block                                      201
 *   PUT /device-files/{d}/{name}?{leave}&comp=blocklist           makes the file of its blocks                 201
 *   GET /device-files/{d}/{name}                                  by the same leave, or as a service           200, 206 of a part, 412, 416
 *
 * Leave is judged before any of the body is kept. There is no list: whoever asks knows the name.
 */
import { createHash } from 'node:crypto'
import type { BlobAddress, FileUploads, WriteGrant } from '#ingest/device-api/file-uploads.ts'
import type { EdgeContext } from '#ingest/session/edge-context.ts'
import type { AuthorizeService } from '#ingest/session/principal.ts'
import { assert } from '#runtime/assert.ts'
import type { HttpAnswer } from '#runtime/http/answer.ts'
import { type HttpRequest, percentDecoded } from '#runtime/http/request.ts'
import type { HttpRouter } from '#runtime/http/serving.ts'
import { discardStream } from '#runtime/http/streamed-answer.ts'
import type { BodyStream } from '#runtime/http/streamed-body.ts'
import { isLoopbackAddress } from '#runtime/loopback.ts'
import { isPenstockError, PenstockError } from '#schemas/errors.ts'
import { isIdentityId } from '#schemas/identity-id.ts'
import { limits } from '#schemas/limits.ts'
import { uploadContainer } from '#schemas/uploads.ts'
import {
  BlobFault,
  blobFaultAnswer,
  contentAnswer,
  createdAnswer,
  etagOf,
  notAllowed,
  partAnswer,
  rangeRefusedAnswer,
} from './blob-answers.ts'
import { blockIdsFrom, isBlockId } from './block-list.ts'
import { partOf, rangeFrom } from './byte-range.ts'

/** Attempts without leave are counted under this name, which no device id can be. */
const blobAttempts = '/blob'
const root = `/${uploadContainer}/`

/** @param authorizeService `undefined`: files are read by leave only */
export function routeBlobs(
  router: HttpRouter,
  edge: EdgeContext,
  uploads: FileUploads,
  authorizeService: AuthorizeService | undefined,
  tls: boolean,
): void {
  const { fileBytesMax } = uploads
  // What a request may do, between `admit` and its handler.
  const grants = new WeakMap<HttpRequest, WriteGrant>()
  router.route({
    method: 'PUT',
    pattern: `${root}*`,
    bodyBytesMax: Math.max(fileBytesMax, limits.uploadBlockListBytesMax),
    get tooLargeAnswer() {
      return blobFaultAnswer(uploads.tooLarge())
    },
    get noRoomAnswer() {
      return blobFaultAnswer(new PenstockError('INGEST_OVERLOADED', 'too many requests are under way at the moment'))
    },
    admit: async (request) => {
      if (edge.draining) throw new PenstockError('INGEST_DRAINING', 'the edge is shutting down')
      const grant = await byLeave(edge, uploads, request, tls, 'w')
      grants.set(request, grant)
      return undefined
    },
    handleStream: (request, body) => {
      const grant = grants.get(request)
      assert(grant, 'a request that was admitted has leave')
      return write(uploads, grant, request, body)
    },
    faultAnswer: blobFaultAnswer,
  })
  router.route({
    method: 'GET',
    pattern: `${root}*`,
    handle: async (request) => {
      const address =
        request.header('authorization') === ''
          ? await byLeave(edge, uploads, request, tls, 'r')
          : await byService(edge, authorizeService, request, tls)
      return await read(uploads, address, request)
    },
    faultAnswer: blobFaultAnswer,
  })
}

/**
 * Storage clients ask for parts by a header of their own, which counts before the norm's. Who reads a file part by part says which file is
 * meant, so that parts of two are never joined: by `If-Match`, or by `If-Range` (RFC 9110, section 13.1).
 */
async function read(uploads: FileUploads, address: BlobAddress, request: HttpRequest): Promise<HttpAnswer> {
  // A part of what has no body makes no sense (section 14.2).
  const asked =
    request.method === 'GET' ? rangeFrom(request.header('x-ms-range') || request.header('range')) : undefined
  const [ifMatch, ifRange] = [request.header('if-match'), request.header('if-range')]
  // What is judged, and a part is cut from, is the file that is there now.
  const found = asked !== undefined || ifMatch !== '' ? await uploads.find(address) : undefined
  if (found !== undefined && ifMatch !== '' && !isAmong(etagOf(found), ifMatch))
    throw new BlobFault(412, 'ConditionNotMet', 'the file was replaced')
  const range = found !== undefined && (ifRange === '' || ifRange === etagOf(found)) ? asked : undefined
  const part = range && found && partOf(range, found.bytes)
  if (range !== undefined && found !== undefined && part === undefined) return rangeRefusedAnswer(found.bytes)
  const whole = await uploads.read(address, part)
  if (whole === undefined) throw absent()
  if (found === undefined || etagOf(whole) === etagOf(found))
    return part === undefined ? contentAnswer(whole) : partAnswer(whole, part)
  discardStream(whole.content)
  throw new BlobFault(503, 'ServerBusy', 'the file was replaced meanwhile')
}

/** @param tags as `If-Match` lists them; `*` is any */
function isAmong(etag: string, tags: string): boolean {
  return tags.split(',').some((tag) => tag.trim() === etag || tag.trim() === '*')
}

/** @throws INGEST_NOT_AUTHORIZED, INGEST_FAILURES_EXCEEDED, AUTH_DIRECTORY_UNAVAILABLE */
async function byLeave(
  edge: EdgeContext,
  uploads: FileUploads,
  request: HttpRequest,
  tls: boolean,
  right: 'r' | 'w',
): Promise<WriteGrant> {
  const { remoteAddress } = request
  const addresses = tls || isLoopbackAddress(remoteAddress) ? [addressOf(request), formAddressOf(request)] : []
  for (const address of addresses) {
    const grant = address && (await uploads.grantOf(address, (name) => request.query(name), right))
    if (grant !== undefined) return grant
  }
  throw edge.quotas.attemptFailed(remoteAddress, blobAttempts) ?? notAllowed()
}

/** @throws as `byLeave` */
async function byService(
  edge: EdgeContext,
  authorize: AuthorizeService | undefined,
  request: HttpRequest,
  tls: boolean,
): Promise<BlobAddress> {
  const { remoteAddress } = request
  const address = addressOf(request)
  try {
    if (authorize === undefined || address === undefined) throw notAllowed()
    const resource = [uploadContainer, address.deviceId]
    await authorize(request.header('authorization'), tls || isLoopbackAddress(remoteAddress), resource)
    return address
  } catch (error) {
    const isFailure = isPenstockError(error, 'INGEST_NOT_AUTHORIZED')
    throw (isFailure && edge.quotas.attemptFailed(remoteAddress, blobAttempts)) || error
  }
}

/** Decoded once, whatever comes of it. @returns `undefined`: it names no file */
function addressOf({ path }: HttpRequest): BlobAddress | undefined {
  return addressIn(percentDecoded(path.slice(root.length)))
}

/**
 * As one of the hub's clients writes an address: what it was told, device id and name, as a value of a form. There a space is a `+`, and what
 * was escaped is escaped again. Such an address can be read in both ways: the leave was signed for one of them, and that file is meant.
 * @returns `undefined`: read like this it names nothing else, or no file
 */
function formAddressOf({ path }: HttpRequest): BlobAddress | undefined {
  if (!/\+|%25/.test(path)) return undefined
  return addressIn(percentDecoded(path.slice(root.length).replaceAll('+', ' ')), percentDecoded)
}

/** @param text device id and name @param idFrom what the device id is, as it stands there */
function addressIn(
  text: string | undefined,
  idFrom: (text: string) => string | undefined = (id) => id,
): BlobAddress | undefined {
  const slash = text?.indexOf('/') ?? -1
  if (text === undefined || slash <= 0) return undefined
  const [deviceId, name] = [idFrom(text.slice(0, slash)), text.slice(slash + 1)]
  return deviceId !== undefined && name !== '' && isIdentityId(deviceId) ? { deviceId, name } : undefined
}

async function write(
  uploads: FileUploads,
  grant: WriteGrant,
  request: HttpRequest,
  body: BodyStream,
): Promise<HttpAnswer> {
  const content = checked(request, body)
  const comp = request.query('comp')
  if (comp !== 'blocklist' && (body.lengthBytes ?? 0) > uploads.fileBytesMax) throw uploads.tooLarge()
  switch (comp) {
    case undefined:
      if (request.header('x-ms-blob-type') !== 'BlockBlob')
        throw new BlobFault(400, 'InvalidHeaderValue', 'x-ms-blob-type must be BlockBlob')
      await requireAbsence(uploads, grant, request)
      await uploads.put(grant, content)
      return storedAnswer(uploads, grant)
    case 'block': {
      const blockId = request.query('blockid') ?? ''
      if (!isBlockId(blockId))
        throw new BlobFault(400, 'InvalidQueryParameterValue', 'blockid is up to 64 bytes in base64')
      await uploads.putBlock(grant, blockId, content)
      return createdAnswer()
    }
    case 'blocklist':
      await requireAbsence(uploads, grant, request)
      if (!(await uploads.commit(grant, () => blockIdsOf(content))))
        throw new BlobFault(400, 'InvalidBlockList', 'a block of the list was not put, or was put too long ago')
      return storedAnswer(uploads, grant)
    default:
      throw new BlobFault(400, 'InvalidQueryParameterValue', 'comp is block or blocklist, or left out')
  }
}

/** A client lets go of what it was told is stored. Whoever may change the store may have deleted the file by now. */
async function storedAnswer(uploads: FileUploads, grant: WriteGrant): Promise<HttpAnswer> {
  const found = await uploads.find(grant)
  if (found === undefined) throw absent()
  return createdAnswer(found)
}

function absent(): BlobFault {
  return new BlobFault(404, 'BlobNotFound', 'there is no such file')
}

/** Clients that replace nothing say so. */
async function requireAbsence(uploads: FileUploads, grant: WriteGrant, request: HttpRequest): Promise<void> {
  if (request.header('if-none-match') !== '*' || (await uploads.find(grant)) === undefined) return
  throw new BlobFault(409, 'BlobAlreadyExists', 'there is a file of this name')
}

/** Ends with a fault, so that nothing is stored, where the client told the hash of what it sends, and other bytes came. */
async function* checked(request: HttpRequest, body: BodyStream): AsyncGenerator<Buffer> {
  const told = request.header('content-md5')
  const hash = told === '' ? undefined : createHash('md5')
  for await (const piece of body) {
    hash?.update(piece)
    yield piece
  }
  if (hash !== undefined && hash.digest('base64') !== told)
    throw new BlobFault(400, 'Md5Mismatch', 'the body is not what Content-MD5 says')
}

async function blockIdsOf(content: AsyncIterable<Buffer>): Promise<readonly string[]> {
  const pieces: Buffer[] = []
  let bytes = 0
  for await (const piece of content) {
    bytes += piece.length
    if (bytes > limits.uploadBlockListBytesMax)
      throw new PenstockError('INGEST_FRAME_TOO_LARGE', 'a list of more blocks than a file may have')
    pieces.push(piece)
  }
  const blockIds = blockIdsFrom(Buffer.concat(pieces).toString('utf8'))
  if (blockIds === undefined) throw new BlobFault(400, 'InvalidXmlDocument', 'the body is no list of blocks')
  return blockIds
}
