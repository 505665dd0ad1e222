import { isUtf8 } from 'node:buffer'
import { readFileSync } from 'node:fs'
import { PenstockError } from '#schemas/errors.ts'
import { isSecret, type Setting, secretFileEnv } from '#schemas/setting.ts'
import { type Settings, settingsFileEnv, settingsTable } from '#schemas/settings.ts'

const prefix = 'PENSTOCK_'

type Environment = Readonly<Record<string, string | undefined>>

/** A setting as it is in force, for people to see. */
export interface ShownSetting {
  readonly name: string
  /** `null`: none, or one that is never shown. */
  readonly value: string | number | null
  /** Of a secret: whether it is set. */
  readonly isSet?: boolean
  readonly source: 'default' | 'file' | 'environment'
  readonly meaning: string
}

/**
 * Reads and validates all settings: environment over file over default.
 * The file (named by `PENSTOCK_CONFIG`) has one `PENSTOCK_NAME=value` a line; `#` begins a comment.
 * A secret may lie in a file of its own, which `PENSTOCK_NAME_FILE` names in either place.
 * @throws PenstockError SETTINGS_INVALID that names every fault at once, not only the first.
 */
export function settingsFromEnvironment(environment: Environment): Settings {
  const faults: string[] = []
  const given = new Map([
    ...withSecretFiles(givenByFile(environment, faults), faults),
    ...withSecretFiles(givenByEnvironment(environment), faults),
  ])
  const result: Record<string, string | number | undefined> = {}
  for (const [field, setting] of Object.entries<Setting>(settingsTable)) {
    result[field] = valueFromText(setting, given.get(setting.env), faults)
    given.delete(setting.env)
  }
  for (const unknown of given.keys()) faults.push(`${unknown} is not a setting${suggestion(unknown)}`)
  if (faults.length > 0) throw new PenstockError('SETTINGS_INVALID', `settings refused:\n  ${faults.join('\n  ')}`)
  return result as Settings
}

/** All settings as `settingsFromEnvironment` reads them, and where each came from. Secrets are left out. */
export function shownSettings(environment: Environment): readonly ShownSetting[] {
  const settings = settingsFromEnvironment(environment)
  const byFile = givenByFile(environment, [])
  const byEnvironment = givenByEnvironment(environment)
  const isIn = (given: ReadonlyMap<string, string>, { env }: Setting): boolean =>
    given.has(env) || given.has(secretFileEnv(env))
  return Object.entries<Setting>(settingsTable).map(([field, setting]) => {
    const value = settings[field as keyof Settings] ?? null
    const isHidden = isSecret(setting)
    return {
      name: setting.env,
      value: isHidden ? null : shownValue(value),
      ...(isHidden && { isSet: value !== null && value !== '' }),
      source: isIn(byEnvironment, setting) ? 'environment' : isIn(byFile, setting) ? 'file' : 'default',
      meaning: setting.meaning,
    }
  })
}

function givenByEnvironment(environment: Environment): ReadonlyMap<string, string> {
  const given = new Map<string, string>()
  for (const [name, value] of Object.entries(environment)) {
    if (name.startsWith(prefix) && name !== settingsFileEnv && value !== undefined) given.set(name, value)
  }
  return given
}

function givenByFile(environment: Environment, faults: string[]): ReadonlyMap<string, string> {
  const given = new Map<string, string>()
  const file = environment[settingsFileEnv]
  if (file) readFileInto(given, file, faults)
  return given
}

function readFileInto(given: Map<string, string>, file: string, faults: string[]): void {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    faults.push(`${settingsFileEnv}=${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`)
    return
  }
  for (const [index, line] of text.split('\n').entries()) {
    const trimmed = line.trim()
    if (trimmed === '' || trimmed.startsWith('#')) continue
    const equals = trimmed.indexOf('=')
    if (equals < 1) faults.push(`${file} line ${index + 1}: expected ${prefix}NAME=value`)
    else given.set(trimmed.slice(0, equals).trim(), trimmed.slice(equals + 1).trim())
  }
}

/**
 * Secrets from the files that are named in their place: mounted ones are in nobody's environment, and in no list of processes. A line's end
 * behind the secret is left out, since editors and `echo` leave one.
 */
function withSecretFiles(given: ReadonlyMap<string, string>, faults: string[]): ReadonlyMap<string, string> {
  const result = new Map(given)
  for (const { env } of Object.values<Setting>(settingsTable).filter(isSecret)) {
    const fileEnv = secretFileEnv(env)
    const file = result.get(fileEnv)
    if (file === undefined) continue
    result.delete(fileEnv)
    if (file === '') continue
    if (result.get(env)) faults.push(`${env} and ${fileEnv} are both set; allowed is one of them`)
    else result.set(env, secretIn(file, fileEnv, faults))
  }
  return result
}

/** A password or key; whoever names a larger file means another one. */
const secretBytesMax = 64 * 1024

function secretIn(file: string, fileEnv: string, faults: string[]): string {
  try {
    const bytes = readFileSync(file)
    const secret = bytes.toString('utf8').replace(/\r?\n$/, '')
    const isOneLine = bytes.length <= secretBytesMax && isUtf8(bytes) && !/[\r\n\0]/.test(secret)
    if (secret !== '' && isOneLine) return secret
    faults.push(`${fileEnv}=${file}: allowed is a file with one line of text, the secret`)
  } catch (error) {
    faults.push(`${fileEnv}=${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`)
  }
  return ''
}

function valueFromText(setting: Setting, text: string | undefined, faults: string[]): string | number | undefined {
  if (text === undefined) return setting.default
  switch (setting.kind) {
    case 'text':
    case 'secret':
      return text === '' ? setting.default : text
    case 'url': {
      if (text === '') return setting.default
      const fault = addressFault(setting, text)
      if (fault === undefined) return text
      faults.push(`${setting.env}=${setting.secret ? '…' : withoutCredentials(text)}: ${fault}`)
      return setting.default
    }
    case 'hosts':
      if (text === '' || text.split(',').every((each) => hostAndPort.test(each.trim()))) return text || setting.default
      faults.push(`${setting.env}=${withoutCredentials(text)}: allowed is host:port, or several separated by commas`)
      return setting.default
    case 'integer': {
      const value = Number(text)
      if (text.trim() !== '' && Number.isInteger(value) && value >= setting.min && value <= setting.max) return value
      faults.push(`${setting.env}=${text}: allowed is an integer from ${setting.min} to ${setting.max}`)
      return setting.default
    }
    case 'choice':
      if (setting.choices.includes(text)) return text
      faults.push(`${setting.env}=${text}: allowed is one of ${setting.choices.join(', ')}`)
      return setting.default
  }
}

function addressFault(setting: Setting & { readonly kind: 'url' }, text: string): string | undefined {
  const { protocol, username, password } = URL.canParse(text) ? new URL(text) : noAddress
  if (!setting.schemes.includes(protocol.slice(0, -1)))
    return `allowed is an address ${setting.schemes.map((each) => `${each}://host:port`).join(' or ')}`
  // It is shown in the console, and stands in messages of faults.
  if (!setting.secret && (username !== '' || password !== ''))
    return 'names a user or password, which an address that is shown must not: these have settings of their own'
  return undefined
}

const noAddress = { protocol: '', username: '', password: '' }

/** Device ids may have an @, and are no addresses. */
function shownValue(value: string | number | null): string | number | null {
  return typeof value === 'string' && value.includes('://') ? withoutCredentials(value) : value
}

/** Addresses without user and password, and without what is asked of them, where tokens stand. */
function withoutCredentials(text: string): string {
  return text.replace(/((?:[a-z][\w+.-]*:\/\/)?)\S*@/gi, '$1…@').replace(/(?<=:\/\/[^\s?#]*[?#])\S+/g, '…')
}

const hostAndPort = /^(\[[0-9A-Fa-f:.]+\]|[^\s:,/]+):\d{1,5}$/

function suggestion(unknown: string): string {
  const words = new Set(unknown.split('_').slice(1))
  const near = Object.values<Setting>(settingsTable)
    .map(({ env }) => env)
    .filter((env) =>
      env
        .split('_')
        .slice(1)
        .some((word) => words.has(word)),
    )
  return near.length > 0 ? `; near it: ${near.slice(0, 4).join(', ')}` : ''
}
