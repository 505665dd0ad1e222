import { type Performative, rawField } from '#runtime/amqp/performative.ts'
import { DescribedValue, malformed, type ReadValue } from '#runtime/amqp/read-values.ts'
import { Encoded } from '#runtime/amqp/write-values.ts'
import { limits } from '#schemas/limits.ts'

/** What a client says of a link that it wants (part 2, section 2.7.3). */
export interface AttachRequest {
  readonly name: string
  readonly handle: number
  /** Else the client receives. */
  readonly clientSends: boolean
  readonly senderSettleMode: number | undefined
  readonly receiverSettleMode: number | undefined
  /** Both are given back as they came: some clients look for them. */
  readonly source: Encoded | null
  readonly target: Encoded | null
  readonly sourceAddress: string | undefined
  readonly targetAddress: string | undefined
  readonly initialDeliveryCount: number
}

/** @throws INGEST_FRAME_MALFORMED */
export function readAttach(performative: Performative, bytes: Buffer, start: number, end: number): AttachRequest {
  const [name, handle] = [performative.text(0), performative.number(1)]
  if (name === undefined || handle === undefined) throw malformed('a link without name or handle')
  if (name.length > limits.topicBytesMax) throw malformed('the name of a link is too long')
  const raw = (index: number): Encoded | null => {
    const field = rawField(bytes, start, end, index)
    return field === undefined ? null : new Encoded(Buffer.from(field))
  }
  return {
    name,
    handle,
    clientSends: !performative.flag(2),
    senderSettleMode: performative.number(3),
    receiverSettleMode: performative.number(4),
    source: raw(5),
    target: raw(6),
    sourceAddress: addressIn(performative.at(5)),
    targetAddress: addressIn(performative.at(6)),
    initialDeliveryCount: performative.number(9) ?? 0,
  }
}

/** The first field of a source or target. */
function addressIn(terminus: ReadValue): string | undefined {
  if (!(terminus instanceof DescribedValue) || !Array.isArray(terminus.value)) return undefined
  const [address] = terminus.value
  return typeof address === 'string' ? address : undefined
}
