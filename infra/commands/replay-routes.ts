/** `penstock routes replay`: sends what lies on the log into one endpoint once more, and shows how far that is. */
import { setTimeout as sleep } from 'node:timers/promises'
import { type CommandOptions, RestClient } from '#control/client/client.ts'
import { aCount, aText, listOf, optional, recordOf } from '#runtime/json-check.ts'
import { PenstockError } from '#schemas/errors.ts'
import { argumentsOf } from './arguments.ts'

const replay = recordOf({
  id: aText,
  endpoint: aText,
  from: aText,
  to: aText,
  where: optional(aText),
  deviceId: optional(aText),
  messagesPerSecondMax: optional(aCount),
  begunAt: aText,
  state: aText,
  endedAt: optional(aText),
  progress: optional(
    recordOf({ records: aCount, recordsDone: aCount, messagesDelivered: aCount, fault: optional(aText) }),
  ),
})
type ShownReplay = ReturnType<typeof replay>
const replayList = recordOf({ replays: listOf(replay) })

const lookMs = 1_000

/** @param args what stands behind `replay` @param invalid makes the fault of a line that is not understood */
export async function runReplay(
  args: readonly string[],
  options: CommandOptions,
  invalid: (why: string) => PenstockError,
): Promise<void> {
  const value = 'value' as const
  const kinds = {
    from: value,
    to: value,
    where: value,
    device: value,
    rate: value,
    cancel: value,
    detach: 'bare',
  } as const
  const { words, flags } = argumentsOf(args, kinds, invalid)
  const client = new RestClient(options)
  const cancelled = flags.get('cancel')
  if (cancelled !== undefined) {
    await client.call('DELETE', `/routing/replays/${encodeURIComponent(cancelled)}`)
    return options.write(`cancelled ${cancelled}; what it delivered stays`)
  }
  const [endpoint, ...others] = words
  if (endpoint === undefined) throw invalid('the name of an endpoint is expected')
  if (others.length > 0) throw invalid(`${others.join(' ')} is not expected`)
  const rate = flags.get('rate')
  if (rate !== undefined && !/^[1-9]\d{0,6}$/.test(rate)) throw invalid('--rate is a number of messages a second')
  const begun = await client.json(replay, 'POST', '/routing/replays', {
    endpoint,
    from: flags.get('from') ?? 'oldest',
    to: flags.get('to'),
    where: flags.get('where'),
    deviceId: flags.get('device'),
    messagesPerSecondMax: rate === undefined ? undefined : Number(rate),
  })
  options.write(`replay ${begun.id} begins; it goes on if this command ends: penstock routes replays shows it`)
  if (!flags.has('detach')) await follow(client, begun.id, options.write)
}

export async function listReplays(client: RestClient, write: (line: string) => void): Promise<void> {
  const { replays } = await client.json(replayList, 'GET', '/routing/replays')
  for (const each of replays) write(replayLine(each))
  if (replays.length === 0) write('no replays')
}

/** Until it ends; a line whenever something moved. */
async function follow(client: RestClient, id: string, write: (line: string) => void): Promise<void> {
  for (let said = ''; ; await sleep(lookMs)) {
    const { replays } = await client.json(replayList, 'GET', '/routing/replays')
    const found = replays.find((each) => each.id === id)
    if (found === undefined) throw new PenstockError('ROUTING_REPLAY_UNKNOWN', `the replay ${id} is not known any more`)
    const line = replayLine(found)
    if (line !== said) write(line)
    said = line
    if (found.state === 'done') return
    if (found.endedAt !== undefined)
      throw new PenstockError('ROUTING_REPLAY_UNKNOWN', `the replay ${id} ended as ${found.state}`)
  }
}

/** `id  endpoint  from..to  what of it  state` */
export function replayLine(shown: ShownReplay): string {
  const { id, endpoint, from, to, where, deviceId, messagesPerSecondMax, state, endedAt, progress } = shown
  const what = [
    ...(where === undefined ? [] : [where]),
    ...(deviceId === undefined ? [] : [`device ${deviceId}`]),
    ...(messagesPerSecondMax === undefined ? [] : [`${messagesPerSecondMax}/s`]),
  ].join(', ')
  return `${id}\t${endpoint}\t${from}..${to}\t${what || 'all'}\t${stateText(state, endedAt, progress)}`
}

function stateText(state: string, endedAt: string | undefined, progress: ShownReplay['progress']): string {
  if (endedAt !== undefined) return `${state} at ${endedAt}`
  if (progress === undefined) return `${state} for a router`
  const { records, recordsDone, messagesDelivered, fault } = progress
  const percent = records === 0 ? 100 : Math.floor((recordsDone * 100) / records)
  const stands = fault === undefined ? '' : `; the endpoint takes nothing: ${fault}`
  return `${percent} %: ${recordsDone} of ${records} records read, ${messagesDelivered} messages delivered${stands}`
}
