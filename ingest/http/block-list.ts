import { limits } from '#schemas/limits.ts'

const blockIdPattern = /^[A-Za-z0-9+/]+={0,2}$/
const head = /^\uFEFF?\s*(?:<\?xml[^>]*\?>\s*)?<BlockList>\s*/
const item = /<(Latest|Uncommitted|Committed)>([A-Za-z0-9+/=]{1,88})<\/\1>\s*/y
const tail = '</BlockList>'

/** True for what a client may call a block: up to 64 bytes in base64. */
export function isBlockId(text: string): boolean {
  return text.length <= limits.uploadBlockIdLengthMax && blockIdPattern.test(text)
}

/**
 * The ids of a block list, in order: the one form of XML that storage clients write, and nothing else of it. Where a block is said to come
 * from does not matter, as an upload has its blocks until it ends.
 * @returns `undefined`: it is no such list, or has more than `limits.uploadBlocksMax`
 */
export function blockIdsFrom(xml: string): readonly string[] | undefined {
  const begun = head.exec(xml)
  if (begun === null) return undefined
  const ids: string[] = []
  let at = begun[0].length
  while (!xml.startsWith(tail, at)) {
    item.lastIndex = at
    const [whole = '', , id = ''] = item.exec(xml) ?? []
    if (!isBlockId(id) || ids.length === limits.uploadBlocksMax) return undefined
    ids.push(id)
    at += whole.length
  }
  return xml.slice(at + tail.length).trim() === '' ? ids : undefined
}
