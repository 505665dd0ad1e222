/** The settings of the control role and of an edge's door, in the shapes that control/ takes. */
import { authorityIn } from '#runtime/certificates.ts'
import { isLoopbackBind } from '#runtime/loopback.ts'
import { isTold } from '#schemas/device-settings.ts'
import { PenstockError } from '#schemas/errors.ts'
import type { BuiltInShows } from '#schemas/routing/routing.ts'
import type { Settings } from '#schemas/settings.ts'
import { uploadHost } from '#schemas/uploads.ts'
import { admissionRules } from './auth/admission-rules.ts'
import type { AdmissionRules } from './auth/auth.ts'
import { commandRules } from './commands/command-rules.ts'
import type { CommandRules } from './commands/commands.ts'
import { outgoingRulesOf } from './outgoing-rules.ts'
import type { RegistrarRules } from './provisioning/sql-registrar.ts'

export interface ControlSettings {
  readonly registrarRules: RegistrarRules
  readonly dataDir: string
  readonly postgresUrl: string | undefined
  readonly postgresConnectionsMax: number
  readonly ownerKey: string | undefined
  readonly secretsKey: string | undefined
  readonly auditDays: number
  readonly builtInShows: BuiltInShows
  readonly rules: AdmissionRules
  readonly identitiesRequired: boolean
  readonly devicesCachedMax: number
  readonly commandRules: CommandRules
  /** Changes of twins are kept until they are on the log. */
  readonly tellsTwinChanges: boolean
  readonly jobDevicesPerSecond: number
  readonly queriesPerMinute: number
  /** The hub's own name, for connection strings. */
  readonly hostName: string
  /** Under which files are read that devices uploaded. */
  readonly uploadHost: string
}

/** Under which the hub and its provisioning service are called. */
export function hostNamesOf({ hostname, provisioningHostname }: Settings): readonly string[] {
  return [...hostname.split(','), ...(provisioningHostname === undefined ? [] : provisioningHostname.split(','))]
}

export function controlSettings(settings: Settings): ControlSettings {
  const [first = ''] = settings.hostname.split(',')
  const hostName = first.trim()
  const rules = admissionRules(hostNamesOf(settings).join(','), settings.clockSkewSeconds)
  return {
    registrarRules: {
      idScope: idScopeOf(settings),
      hubName: hostName.toLowerCase(),
      outgoing: { ...outgoingRulesOf(settings), isMachineRefused: !isLoopbackBind(settings.bind) },
      outgoingAuthority: authorityIn(settings.provisioningCa, 'PENSTOCK_PROVISIONING_CA'),
      clockSkewMs: rules.clockSkewMs,
    },
    dataDir: settings.dataDir,
    postgresUrl: settings.postgresUrl,
    postgresConnectionsMax: settings.postgresConnections,
    ownerKey: settings.ownerKey,
    secretsKey: settings.secretsKey,
    auditDays: settings.auditDays,
    builtInShows: settings.builtInEndpoint,
    identitiesRequired: settings.identities === 'required',
    rules,
    devicesCachedMax: settings.credentialsCached,
    commandRules: commandRules(settings),
    tellsTwinChanges: isTold(settings.twinEvents, settings.identities),
    hostName,
    uploadHost: uploadHost(settings.uploadHost, hostName, settings.httpsPort),
    jobDevicesPerSecond: settings.jobDevicesPerSecond,
    queriesPerMinute: settings.queriesPerMinute,
  }
}

/** It is part of paths, user names and what devices sign. @throws SETTINGS_INVALID */
function idScopeOf({ provisioningIdScope }: Settings): string {
  if (/^[A-Za-z0-9-]{1,64}$/.test(provisioningIdScope)) return provisioningIdScope
  throw new PenstockError(
    'SETTINGS_INVALID',
    'PENSTOCK_PROVISIONING_ID_SCOPE must be 1 to 64 letters, digits or hyphens',
  )
}
