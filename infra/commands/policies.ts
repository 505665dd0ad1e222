/**
 * `penstock policies …`: the keys of services from the command line, over the REST API.
 */

import { formatConnectionString } from '#control/auth/connection-string.ts'
import { type CommandOptions, RestClient } from '#control/client/client.ts'
import type { KeyName } from '#control/trust/trust.ts'
import { aText, listOf, recordOf } from '#runtime/json-check.ts'
import { PenstockError } from '#schemas/errors.ts'
import { argumentsOf } from './arguments.ts'
import { registryCommand } from './registry-command.ts'

const usage = `penstock policies <command>

  list                                 the policies and their rights
  show <name> [--secondary]            the connection string of a service
  rekey <name> --primary|--secondary   a new key in the place of one; what the old key let in ends at once`

interface PolicyLine {
  readonly name: string
  readonly rights: readonly string[]
}

interface PolicyKeys {
  readonly name: string
  readonly primaryKey: string
  readonly secondaryKey: string
}

const policyLineCheck = recordOf<PolicyLine>({ name: aText, rights: listOf(aText) })
const policyCheck = recordOf<PolicyKeys>({ name: aText, primaryKey: aText, secondaryKey: aText })

export const policiesCommand = registryCommand(usage, runPoliciesCommand)

/** Carries out one command. @param args what stands behind `policies` @throws as `runDevicesCommand` */
export async function runPoliciesCommand(args: readonly string[], options: CommandOptions): Promise<void> {
  const { words, flags } = argumentsOf(args, { primary: 'bare', secondary: 'bare' }, invalid)
  const [command, name] = words
  const client = new RestClient(options)
  if (command === 'list') {
    const policies = await client.json(listOf(policyLineCheck), 'GET', '/policies')
    for (const policy of policies) options.write(`${policy.name}\t${policy.rights.join(' ')}`)
    return
  }
  if (command === undefined || name === undefined) throw invalid('a command and the name of a policy are expected')
  const path = `/policies/${encodeURIComponent(name)}`
  const which: KeyName = flags.has('secondary') ? 'secondary' : 'primary'
  switch (command) {
    case 'show':
      options.write(connectionString(await client.json(policyCheck, 'GET', path), which, options.hostName))
      return
    case 'rekey': {
      if (flags.size !== 1) throw invalid('either --primary or --secondary is expected')
      const policy = await client.json(policyCheck, 'POST', `${path}/rekey`, { key: which })
      options.write(connectionString(policy, which, options.hostName))
      return
    }
    default:
      throw invalid(`${command} is not a command`)
  }
}

function connectionString({ name, primaryKey, secondaryKey }: PolicyKeys, which: KeyName, hostName: string): string {
  const sharedAccessKey = which === 'primary' ? primaryKey : secondaryKey
  return formatConnectionString({ hostName, sharedAccessKeyName: name, sharedAccessKey })
}

function invalid(why: string): PenstockError {
  return new PenstockError('CONTROL_COMMAND_INVALID', `${why}\n\n${usage}`)
}
