/** `penstock models …`: what bodies hold, for analysts, from the command line, over the REST API. */
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { type CommandOptions, RestClient } from '#control/client/client.ts'
import { listOf } from '#runtime/json-check.ts'
import { PenstockError } from '#schemas/errors.ts'
import type { ModelShown } from '#schemas/models/model-shown.ts'
import { argumentsOf, type CommandArguments } from './arguments.ts'
import { registryCommand } from './registry-command.ts'
import { fieldLine, modelCheck, modelLine, planCheck, suggestionCheck } from './render-models.ts'

const usage = `penstock models <command>         what bodies hold: a view of typed columns for each model

  add <file> [--name <name>] [which rows]
                                  makes a model, or replaces its document: DTDL v2 or v3, or a JSON Schema
  plan <file> [--name <name>] [which rows] [--pin <field,field>] [--charts]
                                  the statements that this would run in ClickHouse; changes nothing
  list                            name, view, number of fields, pinned ones, rows
  show <model>                    fields with their columns and types
  pin <model> <field>             the field gets a column that is filled with each row: dashboards read it fast
  unpin <model> <field>           it is computed when it is read again
  charts <model> on|off           sums up pinned numbers by device and minute (off)
  suggest [which rows]            a JSON Schema of what bodies held lately: put it into a file, look at it, add it
  remove <model>                  with its view and pinned columns; no row is lost

which rows (a model with an id: of devices that announce it; any other: all)
  --announced <id>                of devices that announced this model when they connected
  --device-prefix <text>          of devices whose ids begin so
  --property <name>=<value>       of messages with this property
  --every                         all

<file> may be -, for what is piped in; the model is then called by --name, else by the id in it or by the file`

const options = {
  name: 'value',
  pin: 'value',
  charts: 'bare',
  announced: 'value',
  'device-prefix': 'value',
  property: 'value',
  every: 'bare',
} as const

export const modelsCommand = registryCommand(usage, runModelsCommand)

const path = '/api/models'

/** Carries out one command. @param args what stands behind `models` @throws as `runDevicesCommand` */
export async function runModelsCommand(args: readonly string[], access: CommandOptions): Promise<void> {
  const { words, flags } = argumentsOf(args, options, invalid)
  const [command, subject, field] = words
  const { write } = access
  const client = new RestClient(access)
  const changed = async (method: string, url: string, body?: object): Promise<void> =>
    show(await client.json(modelCheck, method, url, body), write)
  switch (command) {
    case 'list':
      for await (const model of client.items(listOf(modelCheck), 'GET', path)) write(modelLine(model))
      return
    case 'show':
      return changed('GET', pathOf(subject))
    case 'add': {
      const document = documentOf(subject)
      return changed('PUT', pathOf(nameOf(flags, subject, document)), { document, guard: guardOf(flags) })
    }
    case 'plan':
      return plan(client, subject, flags, write)
    case 'pin':
    case 'unpin':
      return changed(command === 'pin' ? 'PUT' : 'DELETE', `${pathOf(subject)}/pins/${segment(field, 'a field')}`)
    case 'charts':
      if (field !== 'on' && field !== 'off') throw invalid('on or off is expected')
      return changed(field === 'on' ? 'PUT' : 'DELETE', `${pathOf(subject)}/charts`)
    case 'suggest':
      return suggest(client, flags, write)
    case 'remove':
      await client.call('DELETE', pathOf(subject))
      return
    default:
      throw invalid(command === undefined ? 'a command is expected' : `${command} is not a command`)
  }
}

function show(model: ModelShown, write: (line: string) => void): void {
  write(modelLine(model))
  for (const field of model.fields) write(fieldLine(field))
  for (const { path: at, message } of model.leftAside) write(`left aside: ${at}: ${message}`)
  if (model.chartsView !== undefined) write(`by device and minute: ${model.chartsView}`)
  if (model.fault !== undefined) write(`ClickHouse has not all of it yet: ${model.fault}`)
}

async function plan(
  client: RestClient,
  file: string | undefined,
  flags: CommandArguments['flags'],
  write: (line: string) => void,
): Promise<void> {
  const document = documentOf(file)
  const pins = flags.get('pin')?.split(',') ?? []
  const asked = {
    name: nameOf(flags, file, document),
    document,
    guard: guardOf(flags),
    pins,
    hasCharts: flags.has('charts'),
  }
  const {
    problems,
    statements = [],
    taken = [],
    storingMicroseconds = 0,
  } = await client.json(planCheck, 'POST', `${path}/plan`, asked)
  for (const { path: at, message } of problems) write(`${at || 'the document'}: ${message}`)
  if (problems.length > 0) throw new PenstockError('CONTROL_REFUSED', 'the document is refused; nothing was changed')
  for (const statement of statements) write(`${statement};`)
  for (const name of taken) write(`-- ${name} is the name of something that was not made of a model`)
  if (statements.length === 0) write('-- nothing changes')
  if (storingMicroseconds > 0) write(`-- each row that is stored costs about ${storingMicroseconds} µs of CPU more`)
}

async function suggest(
  client: RestClient,
  flags: CommandArguments['flags'],
  write: (line: string) => void,
): Promise<void> {
  const { document, rowCount, notes } = await client.json(suggestionCheck, 'POST', `${path}/suggest`, {
    guard: guardOf(flags),
  })
  // The document alone goes where it is read again.
  write(JSON.stringify(document, undefined, 2))
  process.stderr.write(`of ${rowCount} rows\n`)
  for (const { path: at, message } of notes) process.stderr.write(`${at || 'rows'}: ${message}\n`)
}

function documentOf(file: string | undefined): unknown {
  if (file === undefined) throw invalid('a file is expected')
  const text = readFileSync(file === '-' ? 0 : file, 'utf8')
  try {
    return JSON.parse(text)
  } catch (error) {
    throw invalid(`${file} is not JSON: ${error instanceof Error ? error.message : String(error)}`)
  }
}

/** Given, or the last part of the model's id, or how the file is called. */
function nameOf(flags: CommandArguments['flags'], file: string | undefined, document: unknown): string {
  const given = flags.get('name')
  if (given !== undefined) return given
  const [interfaceOf] = Array.isArray(document) ? document : [document]
  const id: unknown = Object(interfaceOf)['@id']
  const named = typeof id === 'string' ? /(\w+);\d+$/.exec(id)?.[1] : basename(file ?? '').replace(/\..*$/, '')
  if (named === undefined || !/^[A-Za-z]\w*$/.test(named)) throw invalid('--name is needed: what is the model called?')
  return named
}

function guardOf(flags: CommandArguments['flags']): object | undefined {
  const guards: object[] = []
  const [modelId, prefix, property] = [flags.get('announced'), flags.get('device-prefix'), flags.get('property')]
  if (modelId !== undefined) guards.push({ kind: 'announced', modelId })
  if (prefix !== undefined) guards.push({ kind: 'devicePrefix', prefix })
  if (property !== undefined) {
    const [, name, value] = /^([^=]+)=(.*)$/s.exec(property) ?? []
    if (name === undefined) throw invalid('--property takes <name>=<value>')
    guards.push({ kind: 'property', name, value })
  }
  if (flags.has('every')) guards.push({ kind: 'every' })
  if (guards.length > 1) throw invalid('one way to tell its rows is expected')
  return guards[0]
}

function pathOf(name: string | undefined): string {
  return `${path}/${segment(name, 'the name of a model')}`
}

function segment(text: string | undefined, what: string): string {
  if (text === undefined) throw invalid(`${what} is expected: see list`)
  return encodeURIComponent(text)
}

function invalid(why: string): PenstockError {
  return new PenstockError('CONTROL_COMMAND_INVALID', `${why}\n\n${usage}`)
}
