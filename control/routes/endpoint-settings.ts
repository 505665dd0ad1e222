/** The settings of one endpoint, as the table of its kind says (`schemas/endpoint-kinds/`). */
import { type DocumentReader, kindOf, pathOf } from '#runtime/document-reader.ts'
import { type EndpointKind, type EndpointKindTable, endpointKinds } from '#schemas/endpoint-kinds/endpoint-kinds.ts'
import type { EndpointField } from '#schemas/endpoint-kinds/field.ts'
import { fieldsOf, isGiven, isKeptSecret, type Values, withKeptSecrets } from './endpoint-secrets.ts'

const checkOf = (kind: EndpointKind): EndpointKindTable['check'] => (endpointKinds[kind] as EndpointKindTable).check

/**
 * Checks settings and fills in defaults; `null` stands for the default, and takes a secret away.
 * @param kept of the endpoint that has this name and kind already, secrets included: one that is left out, or said to be set, stays, as
 * long as the endpoint sends to where it did
 */
export function readEndpointSettings(
  reader: DocumentReader,
  path: string,
  kind: EndpointKind,
  given: Values,
  kept: Values | undefined,
): Values {
  const read: Record<string, unknown> = {}
  for (const [name, field] of fieldsOf(kind)) {
    const value = given[name]
    read[name] = isGiven(value) ? settingOf(reader, pathOf(path, name), field, value) : field.default
  }
  const settings = withKeptSecrets(reader, path, { kind, given, settings: read, kept })
  for (const [name, field] of fieldsOf(kind)) {
    if (field.required && settings[name] === undefined && !isGiven(given[name]))
      reader.fault(pathOf(path, name), `is missing: ${field.meaning}`)
  }
  for (const { field, message } of checkOf(kind)?.(settings) ?? []) reader.fault(pathOf(path, field), message)
  return settings
}

function settingOf(reader: DocumentReader, path: string, field: EndpointField, value: unknown): unknown {
  switch (field.type) {
    case 'text':
      return textOf(reader, path, field, value)
    case 'url':
      return addressOf(reader, path, field, value)
    case 'integer':
      return reader.integer(path, value, field)
    case 'boolean':
      return reader.boolean(path, value, field.default ?? false)
    case 'choice':
      return reader.choice(path, value, field.choices, field.default ?? '')
    case 'texts':
      return textsOf(reader, path, field, value)
    case 'columns':
      return reader
        .list(path, value, field.countMax)
        .map((entry, index) => columnOf(reader, `${path}[${index}]`, entry))
  }
}

/** A message never shows the text: it may be a secret. */
function textOf(
  reader: DocumentReader,
  path: string,
  field: EndpointField & { type: 'text' },
  value: unknown,
): unknown {
  if (typeof value !== 'string') return reader.fault(path, `a text is expected, this is ${kindOf(value)}`)
  const { bytesMax = 1_024, pattern, example, lines = false } = field
  const line = lines ? value.replace(/\r?\n/g, '') : value
  if (line === '' || Buffer.byteLength(value) > bytesMax || hasControlCharacters(line))
    return reader.fault(path, `1 to ${bytesMax} bytes without control characters are expected`)
  if (pattern !== undefined && !pattern.test(value)) return reader.fault(path, `expected: ${example ?? pattern.source}`)
  return value
}

function addressOf(
  reader: DocumentReader,
  path: string,
  { schemes, restIn }: EndpointField & { type: 'url' },
  value: unknown,
): unknown {
  const expected = schemes.map((scheme) => `${scheme}://host:port`).join(' or ')
  const url = typeof value === 'string' && value.length <= 2_048 && URL.canParse(value) ? new URL(value) : undefined
  if (url === undefined || !schemes.includes(url.protocol.slice(0, -1)) || url.hostname === '')
    return reader.fault(path, `an address is expected: ${expected}`)
  // It would be shown, logged and kept in the clear.
  if (url.username !== '' || url.password !== '')
    return reader.fault(path, 'names a user or password: these have fields of their own')
  if (/[?#]/.test(value as string))
    return reader.fault(
      path,
      `must end before ? and #: what stands there would be shown${restIn === undefined ? '' : `, and belongs into ${restIn}`}`,
    )
  return value
}

function textsOf(
  reader: DocumentReader,
  path: string,
  { countMax, namePattern, textPattern, textExample, secret }: EndpointField & { type: 'texts' },
  value: unknown,
): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return reader.fault(path, `an object of texts is expected, this is ${kindOf(value)}`)
  const entries = Object.entries(value)
  if (entries.length > countMax) reader.fault(path, `has ${entries.length} entries, allowed are ${countMax}`)
  for (const [name, text] of entries) {
    if (!namePattern.test(name))
      reader.fault(path, `${JSON.stringify(name.slice(0, 80))} is no name that is allowed here`)
    if (secret && isKeptSecret(text)) continue
    if (typeof text !== 'string' || !textPattern.test(text))
      reader.fault(pathOf(path, name), `expected: ${textExample}`)
  }
  return value
}

function columnOf(reader: DocumentReader, path: string, entry: unknown): unknown {
  const column = reader.object(path, entry, ['name', 'type', 'expression'])
  const part = (name: string): string => {
    const text = reader.text(pathOf(path, name), column[name], '')
    if (text === '') reader.fault(pathOf(path, name), 'is missing')
    return text
  }
  const name = part('name')
  if (!/^[A-Za-z_][A-Za-z0-9_]{0,127}$/.test(name))
    reader.fault(pathOf(path, 'name'), 'letters, digits and _ are expected')
  return { name, type: part('type'), expression: part('expression') }
}

function hasControlCharacters(text: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it looks for
  return /[\0-\x1f\x7f]/.test(text)
}
