/**
 * `penstock routes …`: routes, endpoints and enrichments from the command line, over the REST API; `explain` reads the log itself.
 */
import { readFileSync } from 'node:fs'
import { type CommandOptions, RestClient } from '#control/client/client.ts'
import { dataOfYaml } from '#runtime/yaml/yaml-text.ts'
import { PenstockError } from '#schemas/errors.ts'
import { builtInEndpoint } from '#schemas/routing/routing.ts'
import { argumentsOf } from './arguments.ts'
import type { Command } from './command.ts'
import { differences, givenSecrets } from './document-difference.ts'
import { runExplain } from './explain-routes.ts'
import { registryCommand } from './registry-command.ts'
import {
  builtInLine,
  conditionTest,
  endpointsHealth,
  healthLine,
  listedDocument,
  problemLine,
  routesThatTake,
  shown,
  testLines,
  validation,
} from './render-routes.ts'
import { listReplays, runReplay } from './replay-routes.ts'

const usage = `penstock routes <command>

  list [--json]                    routes, the endpoints they lead to, and how these do
  show                             the document as it is in force; secrets only say that they are set
  plan <file>                      what a document (YAML or JSON) would change; changes nothing
  apply <file>                     puts it in force, whole: what it does not name ends. Secrets it leaves out stay
  test <file> [--source <source>]  which routes take a message: {"body", "appProperties", "systemProperties"}, with
                                   the "twin" of its sender where it matters: {"tags", "properties": {"desired", "reported"}}
  test <file> --condition <text>   what one condition makes of it, part by part
  health                           how endpoints do, and how far each is
  replay <endpoint> [--from oldest|<time>] [--to <time>] [--where <condition>] [--device <id>] [--rate <n>] [--detach]
                                   sends the endpoint once more what lies on the log, of what routes send there, beside what
                                   comes in; at most n messages a second. Shows how far it is, unless it is detached
  replays                          replays that go on, and those of the last week
  replay --cancel <id>             ends one; what it delivered stays
  explain [--minutes <n>] [--device <id>] [--condition <text>] [--samples <n>] [--json]
                                   what the routes in force, or one condition, make of the messages on the log of the last
                                   minutes (5), and why; with up to so many of them (0). Runs where the log can be read

<file> may be -, for what is piped in`

const overRest = registryCommand(usage, runRoutesCommand)

export const routesCommand: Command = {
  usage,
  run: (settings, args) =>
    args[0] === 'explain' ? runExplain(settings, args.slice(1), invalid) : overRest.run(settings, args),
}

/** Carries out one command. @param args what stands behind `routes` @throws as `runDevicesCommand` */
export async function runRoutesCommand(args: readonly string[], options: CommandOptions): Promise<void> {
  if (args[0] === 'replay') return await runReplay(args.slice(1), options, invalid)
  const kinds = { json: 'bare', source: 'value', condition: 'value' } as const
  const { words, flags } = argumentsOf(args, kinds, invalid)
  const [command, file] = words
  const client = new RestClient(options)
  switch (command) {
    case 'list':
      return list(client, flags.has('json'), options.write)
    case 'show':
      options.write(JSON.stringify(await client.json(shown, 'GET', '/routing'), undefined, 2))
      return
    case 'health':
      return writeHealth(client, options.write)
    case 'replays':
      return listReplays(client, options.write)
    case 'plan':
    case 'apply':
      return change(client, documentOf(file), command === 'apply', options.write)
    case 'test':
      return test(client, documentOf(file), flags, options.write)
    default:
      throw invalid(command === undefined ? 'a command is expected' : `${command} is not a command`)
  }
}

async function writeHealth(client: RestClient, write: (line: string) => void): Promise<void> {
  const { endpoints, builtIn } = await client.json(endpointsHealth, 'GET', '/routing/endpoints')
  for (const endpoint of endpoints) write(healthLine(endpoint))
  if (builtIn !== undefined) write(builtInLine(builtIn))
}

async function list(client: RestClient, asJson: boolean, write: (line: string) => void): Promise<void> {
  const document = await client.json(listedDocument, 'GET', '/routing')
  if (asJson) return write(JSON.stringify(document.routes, undefined, 2))
  for (const { name, source, condition, endpointNames, isEnabled } of document.routes)
    write(`${name}\t${isEnabled ? source : 'off'}\t${endpointNames.join(' ')}\t${condition}`)
  if (document.fallbackRoute !== undefined) {
    const { condition, endpointNames, isEnabled } = document.fallbackRoute
    write(`$fallback\t${isEnabled ? 'DeviceMessages' : 'off'}\t${endpointNames.join(' ')}\t${condition}`)
  }
  await writeHealth(client, write)
}

/** Reads, compares and writes under the etag of what was compared, so that nobody's change in between is undone. */
async function change(
  client: RestClient,
  wanted: object,
  isApplied: boolean,
  write: (line: string) => void,
): Promise<void> {
  const inForce = await client.call('GET', '/routing')
  const etag = inForce.headers.get('etag') ?? '*'
  const checked = await client.json(validation, 'PUT', '/routing?validate', wanted)
  for (const problem of checked.problems) write(problemLine(problem))
  if (!checked.isValid) throw new PenstockError('CONTROL_REFUSED', 'the document is refused; nothing was changed')
  const current: unknown = await inForce.json()
  const changes = [...differences(current, checked.document), ...givenSecrets(current, wanted)]
  for (const line of changes) write(line)
  if (changes.length === 0) return write('nothing changes')
  if (!isApplied) return
  const applied = await client.call('PUT', '/routing', wanted, { 'If-Match': etag })
  write(`in force as revision ${applied.headers.get('x-penstock-revision')}`)
}

async function test(
  client: RestClient,
  given: { readonly twin?: unknown },
  flags: ReadonlyMap<string, string>,
  write: (line: string) => void,
): Promise<void> {
  const source = flags.has('source') ? { source: flags.get('source') } : {}
  const { twin, ...message } = given
  const asked = { ...source, message, twin }
  const condition = flags.get('condition')
  if (condition !== undefined) {
    const outcome = await client.json(conditionTest, 'POST', '/routing/test', { ...asked, route: { condition } })
    for (const line of testLines(outcome)) write(line)
    return
  }
  const { routes } = await client.json(routesThatTake, 'POST', '/routing/test', asked)
  for (const { name, endpointNames } of routes) write(`${name}\t${endpointNames.join(' ')}`)
  if (routes.length === 0) write('no route takes it')
  if (!routes.some(({ endpointNames }) => endpointNames.includes(builtInEndpoint))) return
  const { builtIn } = await client.json(endpointsHealth, 'GET', '/routing/endpoints')
  if (builtIn !== undefined) write(builtInLine(builtIn))
}

/** YAML holds JSON. */
function documentOf(file: string | undefined): object {
  if (file === undefined) throw invalid('a file is expected')
  let text: string
  try {
    text = readFileSync(file === '-' ? 0 : file, 'utf8')
  } catch (error) {
    throw new PenstockError('CONTROL_COMMAND_INVALID', `${file} cannot be read: ${(error as Error).message}`)
  }
  const { data, faults } = dataOfYaml(text)
  if (faults.length > 0) throw new PenstockError('CONTROL_COMMAND_INVALID', `${file}: ${faults.join('\n')}`)
  if (typeof data !== 'object' || data === null || Array.isArray(data))
    throw new PenstockError('CONTROL_COMMAND_INVALID', `${file}: an object is expected`)
  return data
}

function invalid(why: string): PenstockError {
  return new PenstockError('CONTROL_COMMAND_INVALID', `${why}\n\n${usage}`)
}
