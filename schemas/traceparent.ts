/** The property under which a message brings the trace that it belongs to (W3C Trace Context, "traceparent Header"). */
export const traceparentProperty = 'traceparent'

/** @returns the ids in a `traceparent`; `undefined` if it is none, as the norm asks to treat what is malformed */
export function parseTraceparent(
  text: string | undefined,
): { readonly traceId: string; readonly spanId: string } | undefined {
  const found = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?$/.exec(text ?? '')
  const [, version, traceId = '', spanId = '', more] = found ?? []
  // Later versions may say more; version ff is none, and neither is an id of zeros.
  if (found === null || version === 'ff' || (version === '00' && more !== undefined)) return undefined
  return /^0+$/.test(traceId) || /^0+$/.test(spanId) ? undefined : { traceId, spanId }
}
