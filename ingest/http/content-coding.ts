/**
 * Bodies that came compressed. Within one tick and bounded, so that a small request never holds large memory while others run: what
 * becomes of the largest takes a few milliseconds.
 */

import { gunzipSync, inflateSync } from 'node:zlib'
import { assert } from '#runtime/assert.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'

/** As a client may ask for them (RFC 9110 section 12.5.3). */
export const codingsRead = 'gzip, deflate'

/**
 * @param coding Content-Encoding of the request
 * @returns `body` itself where it has none
 * @throws INGEST_CODING_UNKNOWN, INGEST_BODY_MALFORMED, INGEST_FRAME_TOO_LARGE
 */
export function decodedBody(body: Buffer, coding: string): Buffer {
  if (coding === '') return body
  switch (coding.toLowerCase()) {
    case 'identity':
      return body
    case 'gzip':
    case 'x-gzip':
      return unpacked(gunzipSync, body)
    case 'deflate':
      return unpacked(inflateSync, body)
    default:
      throw new PenstockError('INGEST_CODING_UNKNOWN', `the codings of a body that are read here are ${codingsRead}`)
  }
}

function unpacked(unpack: typeof gunzipSync, body: Buffer): Buffer {
  try {
    const whole = unpack(body, { maxOutputLength: limits.httpBodyBytesMax })
    assert(whole.length <= limits.httpBodyBytesMax, 'a body that is unpacked keeps to its limit [G-4]')
    return whole
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') {
      const text = `a request that becomes more than ${limits.httpBodyBytesMax} bytes; send smaller batches`
      throw new PenstockError('INGEST_FRAME_TOO_LARGE', text, { cause })
    }
    throw new PenstockError('INGEST_BODY_MALFORMED', 'the body is not in the coding that it is said to be in', {
      cause,
    })
  }
}
