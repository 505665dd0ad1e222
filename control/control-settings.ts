/** The settings of the control role and of an edge's door, in the shapes that control/ takes. */
import { authorityIn } from '#runtime/certificates.ts'
import { isLoopbackBind } from '#runtime/loopback.ts'
import { PenstockError } from '#schemas/errors.ts'
import type { Settings } from '#schemas/settings.ts'
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
  readonly rules: AdmissionRules
  readonly identitiesRequired: boolean
  readonly devicesCachedMax: number
  readonly commandRules: CommandRules
  /** The hub's own name, for connection strings. */
  readonly hostName: string
}

/** Under which the hub and its provisioning service are called. */
export function hostNamesOf({ hostname, provisioningHostname }: Settings): readonly string[] {
  return [...hostname.split(','), ...(provisioningHostname === undefined ? [] : provisioningHostname.split(','))]
}

export function controlSettings(settings: Settings): ControlSettings {
  const [hostName = ''] = settings.hostname.split(',')
  const rules = admissionRules(hostNamesOf(settings).join(','), settings.clockSkewSeconds)
  return {
    registrarRules: {
      idScope: idScopeOf(settings),
      hubName: hostName.trim().toLowerCase(),
      outgoing: { ...outgoingRulesOf(settings), isMachineRefused: !isLoopbackBind(settings.bind) },
      outgoingAuthority: authorityIn(settings.provisioningCa, 'PENSTOCK_PROVISIONING_CA'),
      clockSkewMs: rules.clockSkewMs,
    },
    dataDir: settings.dataDir,
    postgresUrl: settings.postgresUrl,
    postgresConnectionsMax: settings.postgresConnections,
    ownerKey: settings.ownerKey,
    secretsKey: settings.secretsKey,
    identitiesRequired: settings.identities === 'required',
    rules,
    devicesCachedMax: settings.credentialsCached,
    commandRules: commandRules(settings),
    hostName: hostName.trim(),
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
