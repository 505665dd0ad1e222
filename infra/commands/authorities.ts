/**
 * `penstock authorities …`: certificate authorities from the command line, over the REST API (`rest/authority-operations.ts`).
 */
import { readFileSync } from 'node:fs'
import { type CommandOptions, RestClient } from '#control/client/client.ts'
import { aBoolean, aText, listOf, optional, recordOf } from '#runtime/json-check.ts'
import { PenstockError } from '#schemas/errors.ts'
import { argumentsOf } from './arguments.ts'
import { registryCommand } from './registry-command.ts'

const usage = `penstock authorities <command>

  list                   all of them
  add <name> <file>      take in the certificate (PEM) of an authority; says how to prove that its private key is yours
  verify <name> <file>   hand in that proof; from then on its certificates let devices in
  delete <name>          the devices that it let in are cut off`

interface Authority {
  readonly name: string
  readonly isVerified: boolean
  readonly verificationCode: string | undefined
  readonly subject: string | undefined
  readonly expiry: string | undefined
}

const authorityCheck = recordOf<Authority>({
  name: aText,
  isVerified: aBoolean,
  verificationCode: optional(aText),
  subject: optional(aText),
  expiry: optional(aText),
})

export const authoritiesCommand = registryCommand(usage, runAuthoritiesCommand)

/** Carries out one command. @param args what stands behind `authorities` @throws as `runDevicesCommand` */
export async function runAuthoritiesCommand(args: readonly string[], options: CommandOptions): Promise<void> {
  const { words } = argumentsOf(args, {}, invalid)
  const [command, name, file] = words
  const client = new RestClient(options)
  const print = (authority: Authority) => options.write(lineOf(authority))
  if (command === 'list') {
    for (const authority of await client.json(listOf(authorityCheck), 'GET', '/certificateAuthorities'))
      print(authority)
    return
  }
  if (command === undefined || name === undefined) throw invalid('a command and the name of an authority are expected')
  const path = `/certificateAuthorities/${encodeURIComponent(name)}`
  switch (command) {
    case 'add': {
      const authority = await client.json(authorityCheck, 'PUT', path, { certificate: certificateIn(file) })
      print(authority)
      if (authority.verificationCode !== undefined) options.write(proofText(authority.verificationCode, name))
      return
    }
    case 'verify':
      print(await client.json(authorityCheck, 'POST', `${path}/verify`, { certificate: certificateIn(file) }))
      return
    case 'delete':
      await client.call('DELETE', path)
      options.write(`deleted ${name}`)
      return
    default:
      throw invalid(`${command} is not a command`)
  }
}

function certificateIn(file: string | undefined): string {
  if (file === undefined) throw invalid('a file with a certificate is expected')
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new PenstockError('CONTROL_COMMAND_INVALID', `${file} cannot be read`, { cause })
  }
}

function lineOf({ name, isVerified, subject, expiry }: Authority): string {
  return `${name}\t${isVerified ? 'verified' : 'unverified'}\t${subject ?? ''}\t${expiry ?? ''}`
}

function proofText(code: string, name: string): string {
  return `
Where its private key is (here ca.key, beside its certificate ca.pem), make a certificate with this code as its common name:

  openssl req -new -newkey rsa:2048 -nodes -keyout proof.key -subj /CN=${code} -out proof.csr
  openssl x509 -req -in proof.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 1 -out proof.pem

and hand it in:

  npx penstock authorities verify ${name} proof.pem`
}

function invalid(why: string): PenstockError {
  return new PenstockError('CONTROL_COMMAND_INVALID', `${why}\n\n${usage}`)
}
