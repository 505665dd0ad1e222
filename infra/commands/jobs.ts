/** `penstock jobs …`: jobs over many devices, from the command line, over the REST API. */
import { type CommandOptions, RestClient } from '#control/client/client.ts'
import { aCount, aText, type JsonCheck, listOf, optional, recordOf } from '#runtime/json-check.ts'
import { PenstockError } from '#schemas/errors.ts'
import { argumentsOf } from './arguments.ts'
import { registryCommand } from './registry-command.ts'

const usage = `penstock jobs <command>           twin updates and methods for many devices, which services began

  list [--status <status>]          id, status, kind, devices done of all, and how many of them failed
  show <id>                         all of it, and the devices that failed, with the reason
  cancel <id>                       begins no device more`

interface JobLine {
  readonly jobId: string
  readonly type: string
  readonly status: string
  readonly queryCondition: string
  readonly startTime: string
  readonly endTime: string | undefined
  readonly failureReason: string | undefined
  readonly deviceJobStatistics: {
    readonly deviceCount: number
    readonly succeededCount: number
    readonly failedCount: number
  }
}

const jobCheck: JsonCheck<JobLine> = recordOf<JobLine>({
  jobId: aText,
  type: aText,
  status: aText,
  queryCondition: aText,
  startTime: aText,
  endTime: optional(aText),
  failureReason: optional(aText),
  deviceJobStatistics: recordOf<JobLine['deviceJobStatistics']>({
    deviceCount: aCount,
    succeededCount: aCount,
    failedCount: aCount,
  }),
})

interface FailedDevice {
  readonly deviceId: string
  readonly error: { readonly code: string; readonly description: string } | undefined
}

const failedCheck = listOf(
  recordOf<FailedDevice>({
    deviceId: aText,
    error: optional(recordOf<NonNullable<FailedDevice['error']>>({ code: aText, description: aText })),
  }),
)

const path = '/jobs/v2'

export const jobsCommand = registryCommand(usage, runJobsCommand)

/** Carries out one command. @param args what stands behind `jobs` @throws as `runDevicesCommand` */
export async function runJobsCommand(args: readonly string[], options: CommandOptions): Promise<void> {
  const { words, flags } = argumentsOf(args, { status: 'value' }, invalid)
  const [command, id] = words
  const client = new RestClient(options)
  const { write } = options
  switch (command) {
    case 'list': {
      const status = flags.get('status')
      const query = status === undefined ? '' : `?jobStatus=${encodeURIComponent(status)}`
      for await (const job of client.items(listOf(jobCheck), 'GET', `${path}/query${query}`)) write(lineOf(job))
      return
    }
    case 'show': {
      const job = await client.json(jobCheck, 'GET', pathOf(id))
      write(lineOf(job))
      write(`devices: ${job.queryCondition}`)
      write(`from ${job.startTime} ${job.endTime === undefined ? '' : `to ${job.endTime}`}`.trimEnd())
      if (job.failureReason !== undefined) write(`failed: ${job.failureReason}`)
      const query = `SELECT * FROM devices.jobs WHERE jobId = '${job.jobId.replaceAll("'", "\\'")}' AND status = 'failed'`
      for await (const { deviceId, error } of client.items(failedCheck, 'POST', '/devices/query', { query }))
        write([deviceId, error?.code ?? '', error?.description ?? ''].join('\t'))
      return
    }
    case 'cancel':
      write(lineOf(await client.json(jobCheck, 'POST', `${pathOf(id)}/cancel`)))
      return
    default:
      throw invalid(command === undefined ? 'a command is expected' : `${command} is not a command`)
  }
}

function lineOf({
  jobId,
  status,
  type,
  deviceJobStatistics: { deviceCount, succeededCount, failedCount },
}: JobLine): string {
  return [jobId, status, type, `${succeededCount + failedCount} of ${deviceCount}`, `${failedCount} failed`].join('\t')
}

function pathOf(id: string | undefined): string {
  if (id === undefined) throw invalid('the id of a job is expected: see list')
  return `${path}/${encodeURIComponent(id)}`
}

function invalid(why: string): PenstockError {
  return new PenstockError('CONTROL_COMMAND_INVALID', `${why}\n\n${usage}`)
}
