/**
 * What a client says on a WebSocket (RFC 6455 section 5.2), read in place as a stream of bytes:
 *
 *   FIN RSV×3 opcode×4    MASK length×7    [16 or 64 bits of length]    4 bytes of mask    data, masked
 *
 * Data is unmasked in place and moved together. So all messages of a chunk are delivered as one piece, and no part of a message is kept
 * here.
 */

export const opcodes = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const

/** Status codes of RFC 6455 section 7.4.1. */
export const closeCodes = { normal: 1000, protocolError: 1002, unsupportedData: 1003, tooLarge: 1009 } as const

export interface FrameHandler {
  /** Valid during the call only. False: no more is wanted. */
  onData(bytes: Buffer): boolean
  /** Valid during the call only. False: no more is wanted. */
  onPing(bytes: Buffer): boolean
  /** The client closes the WebSocket. @param code empty, or the two bytes that it gave */
  onClose(code: Buffer): void
  /** The client breaks the protocol, or a limit of this server. */
  onFault(code: number): void
}

const headBytesMax = 14
const maskBytes = 4
const controlBytesMax = 125
const lengthOf16Bits = 126
const lengthOf64Bits = 127

export class FrameReader {
  readonly #handler: FrameHandler
  readonly #messageBytesMax: number
  /** Of the current frame. Its mask stays until the next frame begins. */
  readonly #head = Buffer.allocUnsafeSlow(headBytesMax)
  #headBytes = 0
  /** Negative between frames. */
  #opcode = -1
  #isFinal = false
  #leftBytes = 0
  #maskStart = 0
  #maskIndex = 0
  /** Bytes of the current message, over all its frames; negative between messages. */
  #messageBytes = -1
  /** Of a control frame. */
  readonly #control = Buffer.allocUnsafeSlow(controlBytesMax)
  #controlBytes = 0

  constructor(messageBytesMax: number, handler: FrameHandler) {
    this.#messageBytesMax = messageBytesMax
    this.#handler = handler
  }

  /** HOT: per chunk; one pass over its bytes, which are overwritten. */
  read(bytes: Buffer): void {
    let at = 0
    /** Data that was read and not delivered yet. */
    let [dataStart, dataEnd] = [0, 0]
    while (at < bytes.length) {
      if (this.#opcode < 0) {
        this.#head[this.#headBytes++] = bytes[at++] as number
        if (this.#headBytes < 2 || this.#headBytes < headBytesOf(this.#head)) continue
        const fault = this.#begin()
        if (fault !== 0) {
          if (dataEnd === dataStart || this.#handler.onData(bytes.subarray(dataStart, dataEnd)))
            this.#handler.onFault(fault)
          return
        }
      }
      const end = Math.min(bytes.length, at + this.#leftBytes)
      this.#leftBytes -= end - at
      if (this.#opcode >= opcodes.close) {
        this.#controlBytes = this.#unmask(bytes, at, end, this.#control, this.#controlBytes)
        at = end
        if (this.#leftBytes > 0) break
        if (dataEnd > dataStart && !this.#handler.onData(bytes.subarray(dataStart, dataEnd))) return
        dataStart = dataEnd
        if (!this.#endControl()) return
        continue
      }
      if (dataEnd === dataStart) dataStart = dataEnd = at
      dataEnd = this.#unmask(bytes, at, end, bytes, dataEnd)
      at = end
      if (this.#leftBytes === 0) this.#endData()
    }
    if (dataEnd > dataStart) this.#handler.onData(bytes.subarray(dataStart, dataEnd))
  }

  /** The head of a frame is complete. @returns the code to close with; 0 if the frame is allowed */
  #begin(): number {
    const head = this.#head
    const [first, second] = [head[0] as number, head[1] as number]
    const opcode = first & 0x0f
    const isControl = opcode >= opcodes.close
    let length = second & 0x7f
    if ((first & 0x70) !== 0 || (second & 0x80) === 0) return closeCodes.protocolError
    if (isControl ? opcode > opcodes.pong || length > controlBytesMax || first < 0x80 : opcode > opcodes.binary)
      return closeCodes.protocolError
    if (length === lengthOf16Bits) length = head.readUInt16BE(2)
    else if (length === lengthOf64Bits) length = head.readUInt32BE(2) * 2 ** 32 + head.readUInt32BE(6)
    if (!isControl) {
      if ((opcode === opcodes.continuation) === this.#messageBytes < 0) return closeCodes.protocolError
      if (opcode === opcodes.text) return closeCodes.unsupportedData
      this.#messageBytes = Math.max(0, this.#messageBytes) + length
      if (this.#messageBytes > this.#messageBytesMax) return closeCodes.tooLarge
      this.#isFinal = first >= 0x80
    }
    this.#opcode = opcode
    this.#leftBytes = length
    this.#maskStart = this.#headBytes - maskBytes
    this.#maskIndex = 0
    this.#headBytes = 0
    return 0
  }

  #endData(): void {
    this.#opcode = -1
    if (this.#isFinal) this.#messageBytes = -1
  }

  /** @returns whether to read on */
  #endControl(): boolean {
    const opcode = this.#opcode
    const bytes = this.#control.subarray(0, this.#controlBytes)
    this.#opcode = -1
    this.#controlBytes = 0
    if (opcode === opcodes.pong) return true
    if (opcode === opcodes.ping) return this.#handler.onPing(bytes)
    this.#handler.onClose(bytes.subarray(0, 2))
    return false
  }

  /** Moves `bytes[start…end)` to `target`, which may be before them. @returns the end of what it wrote */
  #unmask(bytes: Buffer, start: number, end: number, target: Buffer, targetStart: number): number {
    const head = this.#head
    const maskStart = this.#maskStart
    let mask = this.#maskIndex
    let to = targetStart
    for (let at = start; at < end; at++) {
      target[to++] = (bytes[at] as number) ^ (head[maskStart + mask] as number)
      mask = (mask + 1) & 3
    }
    this.#maskIndex = mask
    return to
  }
}

/** Length of a head by its first two bytes. Of a frame that is not masked these two are enough, since it is refused. */
function headBytesOf(head: Buffer): number {
  const second = head[1] as number
  if ((second & 0x80) === 0) return 2
  const length = second & 0x7f
  return 2 + maskBytes + (length === lengthOf16Bits ? 2 : length === lengthOf64Bits ? 8 : 0)
}
