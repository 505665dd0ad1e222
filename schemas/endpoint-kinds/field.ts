/**
 * What the settings of an endpoint kind are made of. A kind is a table of fields; the table is the only source of what is allowed,
 * checked, shown, documented and kept secret. Values are JSON.
 */
export type EndpointField = FieldType & {
  /** Has no default, and must be given. */
  readonly required?: true
  /** Written, never read again: encrypted at rest, left out of every answer, log line and error. Of `texts`: each text, not its name. */
  readonly secret?: true
  /**
   * Says where the endpoint sends. Where one of these changes, secrets must be given again: else whoever may write routes, but not
   * read secrets, could have them sent to a server of his own.
   */
  readonly address?: true
  readonly meaning: string
}

type FieldType =
  | {
      readonly type: 'text'
      readonly default?: string
      readonly bytesMax?: number
      readonly pattern?: RegExp
      readonly example?: string
      /** May have line breaks, as PEM does. */
      readonly lines?: true
    }
  | {
      readonly type: 'url'
      readonly schemes: readonly string[]
      readonly default?: undefined
      /** An address is shown, so it ends before `?`. The secret field for what comes behind it, where requests can have that. */
      readonly restIn?: string
    }
  | { readonly type: 'integer'; readonly default?: number; readonly min: number; readonly max: number }
  | { readonly type: 'boolean'; readonly default?: boolean }
  | { readonly type: 'choice'; readonly default?: string; readonly choices: readonly string[] }
  /** Name and value, both texts. */
  | {
      readonly type: 'texts'
      readonly default?: undefined
      readonly countMax: number
      readonly namePattern: RegExp
      readonly textPattern: RegExp
      /** What `textPattern` allows, in words. */
      readonly textExample: string
    }
  /** A list of `{name, type, expression}`, each a text. */
  | { readonly type: 'columns'; readonly default?: undefined; readonly countMax: number }

export interface EndpointColumn {
  readonly name: string
  readonly type: string
  readonly expression: string
}

type JsonOf<F extends EndpointField> = F extends { type: 'integer' }
  ? number
  : F extends { type: 'boolean' }
    ? boolean
    : F extends { choices: readonly (infer C)[] }
      ? C
      : F extends { type: 'texts' }
        ? Readonly<Record<string, string>>
        : F extends { type: 'columns' }
          ? readonly EndpointColumn[]
          : string

type ValueOf<F extends EndpointField> = F extends { required: true } | { default: string | number | boolean }
  ? JsonOf<F>
  : JsonOf<F> | undefined

/** The checked settings of a kind, one property a field of its table. */
export type SettingsOf<Table extends Readonly<Record<string, EndpointField>>> = {
  readonly [Name in keyof Table]: ValueOf<Table[Name]>
}
