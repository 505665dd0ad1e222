import { numberText, ObjectText, objectText } from '#runtime/json-text.ts'
import type { AnyValue, KeyValue, Resource, Scope } from './attribute-shapes.ts'

/** JSON of a value. Readers bound how deep it goes. */
export function valueText(value: AnyValue | undefined): string {
  if (value === undefined) return 'null'
  const { stringValue, boolValue, intValue, doubleValue, arrayValue, kvlistValue, bytesValue } = value
  if (stringValue !== undefined) return JSON.stringify(stringValue)
  if (boolValue !== undefined) return String(boolValue)
  if (intValue !== undefined) return intValue
  if (doubleValue !== undefined) return numberText(doubleValue)
  if (arrayValue !== undefined) return `[${(arrayValue.values ?? []).map(valueText).join(',')}]`
  if (kvlistValue !== undefined) return attributesText(kvlistValue.values) ?? '{}'
  return bytesValue === undefined ? 'null' : `"${bytesValue.toString('base64')}"`
}

/** JSON of attributes as an object; `undefined` if there are none. */
export function attributesText(attributes: readonly KeyValue[] | undefined): string | undefined {
  if (attributes === undefined || attributes.length === 0) return undefined
  return objectText(new Map(attributes.map(({ key = '', value }) => [key, valueText(value)])))
}

/** What all rows of one resource and scope end with. */
export interface Origin {
  readonly resource: string | undefined
  readonly scope: string | undefined
}

/**
 * Calls back for each scope of a resource. Text of a resource is made once, however many scopes it has: those that are empty take two
 * bytes of a request each [G-4].
 */
export function forEachOrigin<S extends { readonly scope?: Scope }>(
  resource: Resource | undefined,
  scopes: readonly S[],
  take: (ofScope: S, origin: Origin) => void,
): void {
  const resourceText = attributesText(resource?.attributes)
  for (const ofScope of scopes) take(ofScope, { resource: resourceText, scope: scopeText(ofScope.scope) })
}

function scopeText(scope: Scope | undefined): string | undefined {
  const named = new ObjectText()
    .putText('name', scope?.name || undefined)
    .putText('version', scope?.version || undefined)
    .put('attributes', attributesText(scope?.attributes))
  return named.isEmpty ? undefined : String(named)
}
