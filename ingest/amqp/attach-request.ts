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
  /** The condition on what a receiver wants; `undefined`: it has none. */
  readonly selector: string | undefined
  /** Of a reader that wants to be alone. */
  readonly epoch: number | undefined
  /** The client wants to know how far it is behind. */
  readonly wantsRuntime: boolean
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
    selector: selectorIn(performative.at(5)),
    epoch: epochIn(performative.at(13)),
    wantsRuntime: hasSymbol(performative.at(12), 'com.microsoft:enable-receiver-runtime-metric'),
  }
}

const filterField = 7
const selectorName = 'apache.org:selector-filter:string'

function selectorIn(terminus: ReadValue): string | undefined {
  if (!(terminus instanceof DescribedValue) || !Array.isArray(terminus.value)) return undefined
  const filters = terminus.value[filterField]
  const selector = filters instanceof Map ? filters.get(selectorName) : undefined
  const text = selector instanceof DescribedValue ? selector.value : selector
  return typeof text === 'string' ? text : undefined
}

function epochIn(properties: ReadValue): number | undefined {
  const epoch = properties instanceof Map ? properties.get('com.microsoft:epoch') : undefined
  return typeof epoch === 'number' ? epoch : undefined
}

/** Several are an array, and one may stand alone. */
function hasSymbol(symbols: ReadValue, wanted: string): boolean {
  return Array.isArray(symbols) ? symbols.includes(wanted) : symbols === wanted
}

/** The first field of a source or target. */
function addressIn(terminus: ReadValue): string | undefined {
  if (!(terminus instanceof DescribedValue) || !Array.isArray(terminus.value)) return undefined
  const [address] = terminus.value
  return typeof address === 'string' ? address : undefined
}
