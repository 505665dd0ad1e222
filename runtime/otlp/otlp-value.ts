/** Values of OTLP in its JSON form (opentelemetry-proto 1.x): 64-bit integers and what is no number are texts, ids are hexadecimal. */

export interface OtlpAttribute {
  readonly key: string
  readonly value: { readonly stringValue: string } | { readonly intValue: string }
}

/** What a process says of itself. */
export type OtlpAttributes = Readonly<Record<string, string | number>>

/** @param attributes numbers are whole */
export function attributesOf(attributes: OtlpAttributes): OtlpAttribute[] {
  return Object.entries(attributes).map(([key, value]) => ({
    key,
    value: typeof value === 'string' ? { stringValue: value } : { intValue: String(value) },
  }))
}

/** JSON has no word for infinity and for what is no number; protobuf writes them as texts. */
export function doubleOf(value: number): number | string {
  return Number.isFinite(value) ? value : String(value)
}

/** @param ms UTC milliseconds; a part of one is kept to the microsecond */
export function nanosecondsOf(ms: number): string {
  return String(BigInt(Math.round(ms * 1_000)) * 1_000n)
}
