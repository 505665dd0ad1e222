/**
 * How an endpoint of objects names them: the hub's format, of which each part stands once, between fixed text.
 *
 *   {iothub}/{partition}/{YYYY}/{MM}/{DD}/{HH}/{mm}
 */

export const objectNameParts = ['iothub', 'partition', 'YYYY', 'MM', 'DD', 'HH', 'mm'] as const
export type ObjectNamePart = (typeof objectNameParts)[number]

export const defaultObjectNameFormat = '{iothub}/{partition}/{YYYY}/{MM}/{DD}/{HH}/{mm}'

/** A piece of a format: fixed text, or a part to be filled in. */
export type ObjectNamePiece = { readonly text: string } | { readonly part: ObjectNamePart }

/** The pieces of a format that `faultOfNameFormat` has no fault of. */
export function piecesOfNameFormat(format: string): readonly ObjectNamePiece[] {
  return format
    .split(/\{(\w+)\}/)
    .map((piece, index) => (index % 2 === 0 ? { text: piece } : { part: piece as ObjectNamePart }))
    .filter((piece) => !('text' in piece) || piece.text !== '')
}

/** What is wrong with a format, for whoever wrote it; `undefined` if nothing is. */
export function faultOfNameFormat(format: string): string | undefined {
  const named = [...format.matchAll(/\{(\w*)\}/g)].map(([, name = '']) => name)
  const unknown = named.find((name) => !objectNameParts.some((part) => part === name))
  if (unknown !== undefined) return `{${unknown}} is no part of a name; there are ${allParts}`
  const missing = objectNameParts.filter((part) => !named.includes(part))
  if (missing.length > 0)
    return `${missing.map((part) => `{${part}}`).join(' and ')} must be in it; all parts are ${allParts}`
  const twice = objectNameParts.find((part) => named.indexOf(part) !== named.lastIndexOf(part))
  if (twice !== undefined) return `{${twice}} stands in it twice`
  const fixed = format.replaceAll(/\{\w+\}/g, 'x')
  if (!/^[A-Za-z0-9._=/-]+$/.test(fixed)) return 'between its parts, letters, digits and . _ - = / are allowed'
  if (fixed.split('/').some((level) => level === '' || /^\.+$/.test(level)))
    return 'between slashes there must be a name, and not one of dots'
  return undefined
}

const allParts = objectNameParts.map((part) => `{${part}}`).join(' ')
