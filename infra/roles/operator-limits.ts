import { type RoleLimits, roleLimitsFrom } from '#schemas/role-limits.ts'
import { type Settings, settingsTable } from '#schemas/settings.ts'

interface OperatorLimits {
  readonly limits: RoleLimits
  /** The setting. */
  readonly setBy: string
}

/** What statements of the users of analysts may take. @throws SETTINGS_INVALID */
export function operatorLimits(settings: Settings): Readonly<Record<'analyst' | 'readonly', OperatorLimits>> {
  const of = (text: string, setBy: string): OperatorLimits => ({ limits: roleLimitsFrom(text, setBy), setBy })
  return {
    analyst: of(settings.clickhouseAnalystLimits, settingsTable.clickhouseAnalystLimits.env),
    readonly: of(settings.clickhouseReadonlyLimits, settingsTable.clickhouseReadonlyLimits.env),
  }
}
