/**
 * True if objects and lists of a JSON text lie no deeper within one another than `depthMax`. Looks at bytes, before anything is parsed:
 * what works on values calls itself for each level. A text that is no JSON may count either way.
 */
export function isWithinDepth(json: Uint8Array, depthMax: number): boolean {
  let depth = 0
  let isText = false
  for (let at = 0; at < json.length; at++) {
    const byte = json[at]
    if (isText) {
      if (byte === 0x5c) at++
      else if (byte === 0x22) isText = false
    } else if (byte === 0x22) isText = true
    else if (byte === 0x7b || byte === 0x5b) {
      if (++depth > depthMax) return false
    } else if (byte === 0x7d || byte === 0x5d) depth--
  }
  return true
}
