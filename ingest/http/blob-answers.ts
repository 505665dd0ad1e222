/** Answers of the endpoint of files, as the hub's storage clients expect them. */
import { createHash, randomUUID } from 'node:crypto'
import { RateExceeded } from '#ingest/quotas/quotas.ts'
import type { BlobContent, BlobPart, StoredBlob } from '#pipeline/blobs/blob-store.ts'
import type { HttpAnswer } from '#runtime/http/answer.ts'
import { type ErrorCode, isPenstockError, PenstockError } from '#schemas/errors.ts'

const version = '2021-04-10'

/** A fault in the words of storage clients, which decide by status and code. */
export class BlobFault extends Error {
  readonly status: number
  readonly code: string

  constructor(status: number, code: string, text: string) {
    super(text)
    this.name = 'BlobFault'
    this.status = status
    this.code = code
  }
}

/** @param blob what is there now; left out of blocks, which are no file yet */
export function createdAnswer(blob?: StoredBlob): HttpAnswer {
  return { status: 201, headers: { ...common(), ...(blob ? stamps(blob) : {}) }, body: '' }
}

/** The file, which no browser shall show or run: anybody may have written it. */
export function contentAnswer({ content, ...blob }: BlobContent): HttpAnswer {
  const headers = {
    ...common(),
    ...stamps(blob),
    'Accept-Ranges': 'bytes',
    'Content-Type': 'application/octet-stream',
    'Content-Disposition': 'attachment',
    'Content-Security-Policy': "default-src 'none'; sandbox",
    'X-Content-Type-Options': 'nosniff',
    'x-ms-blob-type': 'BlockBlob',
  }
  return { status: 200, headers, stream: content, bodyBytes: blob.bytes }
}

/** @param blob its content is that of the part */
export function partAnswer(blob: BlobContent, { first, last }: BlobPart): HttpAnswer {
  const whole = contentAnswer(blob)
  const headers = { ...whole.headers, 'Content-Range': `bytes ${first}-${last}/${blob.bytes}` }
  return { ...whole, status: 206, headers, bodyBytes: last - first + 1 }
}

/** @param bytes of the file, of which nothing lies in the range that was asked for */
export function rangeRefusedAnswer(bytes: number): HttpAnswer {
  const answer = xmlAnswer(416, 'InvalidRange', `the file has ${bytes} bytes`, 0)
  return { ...answer, headers: { ...answer.headers, 'Content-Range': `bytes */${bytes}` } }
}

export function blobFaultAnswer(error: unknown): HttpAnswer {
  if (error instanceof BlobFault) return xmlAnswer(error.status, error.code, error.message, 0)
  if (!isPenstockError(error)) throw error
  const [status, code] = faults[error.code] ?? ([503, 'ServerBusy'] as const)
  const retryAfterMs = error instanceof RateExceeded ? error.retryAfterMs : 1_000
  return xmlAnswer(status, code, error.message, status === 503 ? retryAfterMs : 0)
}

/** One answer, whatever is wrong with who asks. */
export function notAllowed(): PenstockError {
  return new PenstockError('INGEST_NOT_AUTHORIZED', 'the address allows nothing here, or not any more')
}

const faults: Partial<Record<ErrorCode, readonly [status: number, code: string]>> = {
  INGEST_NOT_AUTHORIZED: [403, 'AuthenticationFailed'],
  INGEST_FRAME_TOO_LARGE: [413, 'RequestBodyTooLarge'],
}

function xmlAnswer(status: number, code: string, text: string, retryAfterMs: number): HttpAnswer {
  const headers: Record<string, string> = {
    ...common(),
    'Content-Type': 'application/xml',
    'x-ms-error-code': code,
    ...(retryAfterMs > 0 ? { 'Retry-After': String(Math.ceil(retryAfterMs / 1_000)) } : {}),
  }
  const message = text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
  const body = `<?xml version="1.0" encoding="utf-8"?><Error><Code>${code}</Code><Message>${message}</Message></Error>`
  return { status, headers, body }
}

function common(): Record<string, string> {
  return { 'x-ms-version': version, 'x-ms-request-id': randomUUID() }
}

function stamps(blob: StoredBlob): Record<string, string> {
  return { ETag: etagOf(blob), 'Last-Modified': new Date(blob.changedAtMs).toUTCString() }
}

/** Another one once the file was replaced. */
export function etagOf({ bytes, changedAtMs }: StoredBlob): string {
  const tag = createHash('sha256').update(`${bytes} ${changedAtMs}`).digest('hex').slice(0, 16)
  return `"0x${tag.toUpperCase()}"`
}
