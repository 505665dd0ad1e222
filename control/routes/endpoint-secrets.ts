/**
 * Which settings of an endpoint are secrets, and what becomes of those that a document does not repeat. A field of several texts, such as
 * the headers of a webhook, has a secret behind each name; the names are shown.
 */
import { type DocumentReader, pathOf } from '#runtime/document-reader.ts'
import { type EndpointKind, endpointKinds } from '#schemas/endpoint-kinds/endpoint-kinds.ts'
import type { EndpointField } from '#schemas/endpoint-kinds/field.ts'

export type Values = Readonly<Record<string, unknown>>

/** In the place of a secret in what is shown; written back it means: the one that is kept. */
const keptSecret = { isSet: true } as const

export const isKeptSecret = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && (value as { isSet?: unknown }).isSet === true

/** Says nothing of the value: where it is a secret, the one that is there stays. `null` says that there is to be none. */
const isLeftOut = (value: unknown): boolean => value === undefined || isKeptSecret(value)

export const isGiven = (value: unknown): boolean => value !== null && !isLeftOut(value)

export const fieldsOf = (kind: EndpointKind): readonly [string, EndpointField][] =>
  Object.entries<EndpointField>(endpointKinds[kind].fields)

interface SecretsOptions {
  readonly kind: EndpointKind
  /** As somebody wrote them. */
  readonly given: Values
  /** As they were read, without secrets that are left out. */
  readonly settings: Values
  readonly kept: Values | undefined
}

/** @returns the settings with the secrets that stay: all that are left out, unless the endpoint sends to another place */
export function withKeptSecrets(
  reader: DocumentReader,
  path: string,
  { kind, given, settings, kept }: SecretsOptions,
): Record<string, unknown> {
  const fields = fieldsOf(kind)
  const isMoved = fields.some(
    ([name, { address, secret }]) =>
      address && !(secret && isLeftOut(given[name])) && !isSame(kept?.[name], settings[name]),
  )
  const whole: Record<string, unknown> = { ...settings }
  const keep = (place: string, before: unknown, mark: unknown, orElse: string): unknown => {
    if (before === undefined) {
      if (isKeptSecret(mark)) reader.fault(place, `must be given, or ${orElse}: nothing is kept here that could stay`)
    } else if (!isMoved) return before
    else reader.fault(place, `must be given again, or ${orElse}, since the endpoint sends to another place than before`)
    return undefined
  }
  for (const [name, { secret, type }] of fields) {
    if (!secret) continue
    const place = pathOf(path, name)
    if (isLeftOut(given[name])) whole[name] = keep(place, kept?.[name], given[name], 'null')
    else if (type === 'texts' && settings[name] !== undefined)
      whole[name] = eachOf(settings[name], (entry, value) =>
        isKeptSecret(value) ? keep(pathOf(place, entry), ownOf(kept?.[name], entry), value, 'left out') : value,
      )
  }
  return whole
}

/**
 * Settings with another value in the place of each secret.
 * @param change is given the place within the endpoint: the field, and of one secret among several its name behind a colon
 */
export function withEachSecret(
  kind: EndpointKind,
  settings: Values,
  change: (place: string, secret: unknown) => unknown,
): Values {
  const changed: Record<string, unknown> = { ...settings }
  for (const [name, { secret, type }] of fieldsOf(kind)) {
    const value = settings[name]
    if (!secret || value === undefined) continue
    changed[name] =
      type === 'texts' ? eachOf(value, (entry, text) => change(`${name}:${entry}`, text)) : change(name, value)
  }
  return changed
}

/** As it may be shown: a secret that is set only says so. */
export function withoutSecrets(kind: EndpointKind, settings: Values): Values {
  const hidden = withEachSecret(kind, withoutParameters(kind, settings), () => keptSecret)
  return Object.fromEntries(
    fieldsOf(kind).flatMap(([name]) => (hidden[name] === undefined ? [] : [[name, hidden[name]]])),
  )
}

/** Addresses were once kept with what stands behind `?`, which is a secret often enough: it moves to where secrets lie. */
export function withoutParameters(kind: EndpointKind, settings: Values): Values {
  const changed: Record<string, unknown> = { ...settings }
  for (const [name, field] of fieldsOf(kind)) {
    const value = settings[name]
    if (field.type !== 'url' || field.restIn === undefined || typeof value !== 'string') continue
    const [, address, parameters] = /^([^?#]*)(\?[^#]*)?/.exec(value) ?? []
    changed[name] = address
    changed[field.restIn] = settings[field.restIn] ?? parameters
  }
  return changed
}

/** Names are anything, `__proto__` too. */
const eachOf = (texts: unknown, change: (name: string, value: unknown) => unknown): Values =>
  Object.fromEntries(Object.entries(texts as Values).map(([name, value]) => [name, change(name, value)]))

const ownOf = (texts: unknown, name: string): unknown =>
  texts !== undefined && Object.hasOwn(texts as Values, name) ? (texts as Values)[name] : undefined

const isSame = (one: unknown, other: unknown): boolean => JSON.stringify(one) === JSON.stringify(other)
