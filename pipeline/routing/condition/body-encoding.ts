import type { UnreadableReason } from './facts.ts'

export type BodyEncoding = 'utf-8' | 'utf-16' | 'utf-32'

/**
 * How a body is to be decoded before its paths are read, or why they are not: by the message's `contentType` and `contentEncoding`, in any
 * case. Parameters of the type are taken, and its charset stands in for an encoding that is missing. UTF-16 and UTF-32 are little endian.
 */
export function bodyEncoding(
  contentType: string | undefined,
  contentEncoding: string | undefined,
): BodyEncoding | UnreadableReason {
  const [type = '', ...parameters] = (contentType ?? '').toLowerCase().split(';')
  if (type.trim() !== 'application/json') return 'content-type'
  switch (contentEncoding?.toLowerCase() ?? charsetOf(parameters)) {
    case 'utf-8':
      return 'utf-8'
    case 'utf-16':
      return 'utf-16'
    case 'utf-32':
      return 'utf-32'
    default:
      return 'content-encoding'
  }
}

function charsetOf(parameters: readonly string[]): string | undefined {
  for (const parameter of parameters) {
    const [name, value] = parameter.split('=', 2)
    if (name?.trim() === 'charset') return value?.trim().replaceAll('"', '')
  }
  return undefined
}
