import { attributesOf, nanosecondsOf, type OtlpAttributes } from './otlp-value.ts'

/** What one process did from one moment to another. */
export interface Span {
  /** 32 hexadecimal digits, and 16 for each span. */
  readonly traceId: string
  readonly spanId: string
  /** Empty: none. */
  readonly parentSpanId: string
  readonly name: string
  readonly kind: 'producer' | 'consumer'
  /** UTC milliseconds, as parts of them too. */
  readonly startMs: number
  readonly endMs: number
  readonly attributes: OtlpAttributes
  /** Spans of others that it has to do with. */
  readonly links: readonly SpanLink[]
}

export interface SpanLink {
  readonly traceId: string
  readonly spanId: string
}

/** Spans that one process recorded. */
export interface RecordedSpans {
  readonly resource: OtlpAttributes
  readonly spans: readonly Span[]
}

const kinds = { producer: 4, consumer: 5 } as const

/** Body of `POST /v1/traces`. */
export function tracesRequest(recorded: readonly RecordedSpans[]): object {
  return {
    resourceSpans: recorded.map(({ resource, spans }) => ({
      resource: { attributes: attributesOf(resource) },
      scopeSpans: [{ scope: { name: 'penstock' }, spans: spans.map(spanJson) }],
    })),
  }
}

function spanJson({ kind, parentSpanId, startMs, endMs, attributes, ...span }: Span): object {
  return {
    ...span,
    ...(parentSpanId !== '' && { parentSpanId }),
    kind: kinds[kind],
    startTimeUnixNano: nanosecondsOf(startMs),
    endTimeUnixNano: nanosecondsOf(endMs),
    attributes: attributesOf(attributes),
  }
}
