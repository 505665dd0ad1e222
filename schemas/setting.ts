/** What a setting may be. */
export type SettingKind =
  | { readonly kind: 'text'; readonly default: string | undefined }
  | { readonly kind: 'secret'; readonly default: string | undefined }
  /** An address of one of these schemes, e.g. `http://host:8123`. */
  | { readonly kind: 'url'; readonly default: undefined; readonly schemes: readonly string[]; readonly secret?: true }
  /** `host:port`, or several of them, separated by commas. */
  | { readonly kind: 'hosts'; readonly default: undefined }
  | { readonly kind: 'integer'; readonly default: number | undefined; readonly min: number; readonly max: number }
  | { readonly kind: 'choice'; readonly default: string; readonly choices: readonly string[] }

export type Setting = SettingKind & { readonly env: string; readonly meaning: string }

/** Never shown, and may lie in a file of its own. */
export function isSecret(setting: Setting): boolean {
  return setting.kind === 'secret' || (setting.kind === 'url' && setting.secret === true)
}

/** Names the file that holds a secret. */
export function secretFileEnv(env: string): string {
  return `${env}_FILE`
}
