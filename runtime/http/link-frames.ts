/**
 * The frames of a request link. Numbers are big-endian; those of requests are the asker's own.
 *
 *   u32 length of what follows │ u8 kind │ u32 number of the request │ …
 *
 *   request  asker    head as in HTTP/1.1, body: as long as the head tells
 *   left     asker    nothing: who asked has gone, and no answer is wanted
 *   ping     asker    nothing: the other side says it back
 *   answer   server   u16 status │ u32 length of the headers │ headers, a JSON object │ body
 *   broken   server   nothing: no answer will come
 *   pong     server   nothing
 *   goodbye  server   nothing: the last answers follow, no request is taken any more
 */
import { assert } from '../assert.ts'

export const frameKinds = { request: 0, left: 1, ping: 2, answer: 3, broken: 4, pong: 5, goodbye: 6 } as const
export type FrameKind = (typeof frameKinds)[keyof typeof frameKinds]

const lengthBytes = 4
const prefixBytes = lengthBytes + 1 + 4
export const answerPrefixBytes = 2 + 4
/** Of a frame beside heads, headers and bodies, at most. */
export const frameRoomBytes = 1 + 4 + answerPrefixBytes
const noBytes = Buffer.alloc(0)

export interface FrameListener {
  /** `bytes[start…end)` is what the frame has behind its number; valid during the call only. @param kind as it was sent, known or not */
  onFrame(kind: number, number: number, bytes: Buffer, start: number, end: number): void
  /** What came is no frame; nothing more is read. */
  onFault(): void
}

/** Finds frames in a stream of bytes. */
export class FrameReader {
  readonly #frameBytesMax: number
  readonly #listener: FrameListener
  /** The beginning of a frame that a chunk cut in two, in a buffer that grows as its bytes come. */
  #partial = noBytes
  #partialBytes = 0
  #isBroken = false

  /** @param frameBytesMax behind the length */
  constructor(frameBytesMax: number, listener: FrameListener) {
    this.#frameBytesMax = frameBytesMax
    this.#listener = listener
  }

  /** HOT: per chunk. @param bytes valid during the call only */
  read(bytes: Buffer): void {
    let at = this.#partialBytes === 0 ? 0 : this.#complete(bytes)
    while (bytes.length - at >= lengthBytes && !this.#isBroken) {
      const end = at + lengthBytes + bytes.readUInt32BE(at)
      if (!this.#isAllowed(end - at) || end > bytes.length) break
      this.#tell(bytes, at, end)
      at = end
    }
    if (at < bytes.length && !this.#isBroken) this.#keep(bytes, at, bytes.length)
  }

  /** @returns where the next frame begins */
  #complete(bytes: Buffer): number {
    let at = 0
    if (this.#partialBytes < lengthBytes) {
      at = Math.min(bytes.length, lengthBytes - this.#partialBytes)
      this.#keep(bytes, 0, at)
      if (this.#partialBytes < lengthBytes) return at
    }
    const frameBytes = lengthBytes + this.#partial.readUInt32BE(0)
    if (!this.#isAllowed(frameBytes)) return bytes.length
    const end = Math.min(bytes.length, at + frameBytes - this.#partialBytes)
    this.#keep(bytes, at, end)
    if (this.#partialBytes === frameBytes) {
      const partial = this.#partial
      this.#partial = noBytes
      this.#partialBytes = 0
      this.#tell(partial, 0, frameBytes)
    }
    return end
  }

  /** @param frameBytes with the length */
  #isAllowed(frameBytes: number): boolean {
    const isAllowed = frameBytes >= prefixBytes && frameBytes - lengthBytes <= this.#frameBytesMax
    if (!isAllowed) {
      this.#isBroken = true
      this.#partial = noBytes
      this.#partialBytes = 0
      this.#listener.onFault()
    }
    return isAllowed
  }

  #tell(bytes: Buffer, start: number, end: number): void {
    const kindAt = start + lengthBytes
    this.#listener.onFrame(bytes[kindAt] as number, bytes.readUInt32BE(kindAt + 1), bytes, start + prefixBytes, end)
  }

  #keep(bytes: Buffer, start: number, end: number): void {
    const before = this.#partialBytes
    const count = before + end - start
    if (count > this.#partial.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(count, 2 * before))
      this.#partial.copy(larger, 0, 0, before)
      this.#partial = larger
    }
    bytes.copy(this.#partial, before, start, end)
    this.#partialBytes = count
  }
}

/** Where frames are written to. */
export interface FrameSink {
  write(bytes: Buffer): void
}

/** Gathers frames, so that those of one turn of the event loop leave in one write. */
export class FrameWriter {
  readonly #sink: FrameSink
  #frames: Buffer[] = []

  constructor(sink: FrameSink) {
    this.#sink = sink
  }

  /** HOT: per request and answer. @param head in UTF-8 @param body copied */
  send(kind: FrameKind, number: number, head = '', body: string | Uint8Array = noBytes, prefix = noBytes): void {
    const headBytes = Buffer.byteLength(head)
    const bodyBytes = typeof body === 'string' ? Buffer.byteLength(body) : body.length
    const frame = Buffer.allocUnsafe(prefixBytes + prefix.length + headBytes + bodyBytes)
    frame.writeUInt32BE(frame.length - lengthBytes, 0)
    frame[lengthBytes] = kind
    frame.writeUInt32BE(number, lengthBytes + 1)
    let at = prefixBytes
    frame.set(prefix, at)
    at += prefix.length
    at += frame.write(head, at)
    if (typeof body === 'string') at += frame.write(body, at)
    else {
      frame.set(body, at)
      at += body.length
    }
    assert(at === frame.length, 'a frame is as long as it tells')
    if (this.#frames.push(frame) === 1) setImmediate(() => this.flush())
  }

  flush(): void {
    const frames = this.#frames
    if (frames.length === 0) return
    this.#frames = []
    this.#sink.write(frames.length === 1 ? (frames[0] ?? noBytes) : Buffer.concat(frames))
  }
}
