import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import type { MessageProperties } from './telemetry.ts'

/** @throws INGEST_FRAME_TOO_LARGE: an envelope must fit a block (`limits.envelopeBytesMax`), and a JSON batch may say anything */
export function messageProperties(
  application: ReadonlyMap<string, string>,
  system: ReadonlyMap<string, string>,
): MessageProperties {
  let bytes = 0
  for (const map of [application, system]) {
    for (const [key, value] of map) bytes += Buffer.byteLength(key) + Buffer.byteLength(value) + entryOverheadBytes
  }
  if (bytes > limits.httpPropertyBytesMax) {
    throw new PenstockError(
      'INGEST_FRAME_TOO_LARGE',
      `${bytes} bytes of properties; at most ${limits.httpPropertyBytesMax} are allowed`,
    )
  }
  return { application, system, bytes }
}

/** Two lengths of an Avro map entry. */
const entryOverheadBytes = 6
