/** The settings of the control role and of an edge's door, in the shapes that control/ takes. */
import type { Settings } from '#schemas/settings.ts'
import { admissionRules } from './auth/admission-rules.ts'
import type { AdmissionRules } from './auth/auth.ts'
import { commandRules } from './commands/command-rules.ts'
import type { CommandRules } from './commands/commands.ts'

export interface ControlSettings {
  readonly dataDir: string
  readonly postgresUrl: string | undefined
  readonly postgresConnectionsMax: number
  readonly ownerKey: string | undefined
  readonly secretsKey: string | undefined
  readonly rules: AdmissionRules
  readonly identitiesRequired: boolean
  readonly devicesCachedMax: number
  readonly commandRules: CommandRules
  readonly jobDevicesPerSecond: number
  /** The hub's own name, for connection strings. */
  readonly hostName: string
}

export function controlSettings(settings: Settings): ControlSettings {
  const [hostName = ''] = settings.hostname.split(',')
  return {
    dataDir: settings.dataDir,
    postgresUrl: settings.postgresUrl,
    postgresConnectionsMax: settings.postgresConnections,
    ownerKey: settings.ownerKey,
    secretsKey: settings.secretsKey,
    identitiesRequired: settings.identities === 'required',
    rules: admissionRules(settings.hostname, settings.clockSkewSeconds),
    devicesCachedMax: settings.credentialsCached,
    commandRules: commandRules(settings),
    jobDevicesPerSecond: settings.jobDevicesPerSecond,
    hostName: hostName.trim(),
  }
}
