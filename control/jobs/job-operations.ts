/**
 * Jobs over REST, as the hub has it.
 *
 *   PUT  /jobs/v2/{id}            begins one, now or at its start time
 *   GET  /jobs/v2/{id}            how far it is
 *   POST /jobs/v2/{id}/cancel
 *   GET  /jobs/v2/query           by id; jobType, jobStatus, x-ms-max-item-count, x-ms-continuation
 *
 * Whoever begins or ends one may do to single devices what it does to many: both need the right of twins and methods.
 */
import { methodBodyBytesMax } from '#control/methods/method-request.ts'
import { nameOf } from '#control/rest/addressed.ts'
import type { Operation } from '#control/rest/operation.ts'
import { pageSizeOf } from '#control/rest/page-size.ts'
import type { Clock } from '#runtime/clock.ts'
import { type HttpAnswer, jsonAnswer } from '#runtime/http/answer.ts'
import type { HttpRequest } from '#runtime/http/request.ts'
import { limits } from '#schemas/limits.ts'
import { jobTold } from './job-told.ts'
import { deviceJobTypes, type Job, type Jobs, jobStatuses } from './jobs.ts'
import { jobFault, readJob } from './read-job.ts'

/** A condition beside the largest payload of a method. */
const bodyBytesMax = methodBodyBytesMax + limits.queryBytesMax

const pageSizeDefault = 100

export function jobOperations(jobs: Jobs, checkCondition: (condition: string) => void, clock: Clock): Operation[] {
  const pattern = '/jobs/v2/:job'
  const right = 'ServiceConnect'
  const toRead = ['ServiceConnect', 'RegistryRead'] as const
  const answer = (job: Job): HttpAnswer => jsonAnswer(200, jobDocument(job))
  return [
    {
      method: 'PUT',
      pattern,
      told: jobTold.put,
      right,
      bodyBytesMax,
      run: async (request, body) =>
        answer(await jobs.create(readJob(nameOf(request), body, checkCondition, clock.nowMs()))),
    },
    {
      method: 'GET',
      pattern,
      told: jobTold.get,
      right: toRead,
      run: async (request) => answer(await jobs.get(nameOf(request))),
    },
    {
      method: 'POST',
      pattern: `${pattern}/cancel`,
      told: jobTold.cancel,
      right,
      run: async (request) => answer(await jobs.cancel(nameOf(request))),
    },
    {
      method: 'GET',
      pattern: '/jobs/v2/query',
      told: jobTold.list,
      right: toRead,
      run: (request) => list(jobs, request),
    },
  ]
}

async function list(jobs: Jobs, request: HttpRequest): Promise<HttpAnswer> {
  const countMax = pageSizeOf(request.header('x-ms-max-item-count'), pageSizeDefault)
  const filter = {
    type: oneOf(request.query('jobType'), deviceJobTypes, 'jobType'),
    status: oneOf(request.query('jobStatus'), jobStatuses, 'jobStatus'),
    after: Buffer.from(request.header('x-ms-continuation'), 'base64url').toString().replaceAll('\0', ''),
  }
  const found = await jobs.list(filter, countMax + 1)
  const shown = found.slice(0, countMax)
  const last = found.length > countMax ? shown.at(-1) : undefined
  return jsonAnswer(200, shown.map(jobDocument), {
    'x-ms-item-type': 'jobResponse',
    ...(last ? { 'x-ms-continuation': Buffer.from(last.id).toString('base64url') } : {}),
  })
}

/** @throws JOB_INVALID */
function oneOf<Name extends string>(
  value: string | undefined,
  names: readonly Name[],
  field: string,
): Name | undefined {
  if (value === undefined || value === '') return undefined
  const found = names.find((name) => name === value)
  if (found === undefined) throw jobFault(`${field} must be one of ${names.join(', ')}`)
  return found
}

function jobDocument(job: Job): Readonly<Record<string, unknown>> {
  const { devices, pending, running, succeeded, failed } = job.statistics
  return {
    jobId: job.id,
    type: job.type,
    status: job.status,
    queryCondition: job.condition,
    createdTime: new Date(job.createdAtMs).toISOString(),
    startTime: new Date(job.startAtMs).toISOString(),
    ...(job.endedAtMs === undefined ? {} : { endTime: new Date(job.endedAtMs).toISOString() }),
    maxExecutionTimeInSeconds: job.executionSeconds,
    [job.type === 'scheduleUpdateTwin' ? 'updateTwin' : 'cloudToDeviceMethod']: JSON.parse(job.content) as unknown,
    ...(job.failure === undefined ? {} : { failureReason: job.failure, statusMessage: job.failure }),
    deviceJobStatistics: {
      deviceCount: devices,
      pendingCount: pending,
      runningCount: running,
      succeededCount: succeeded,
      failedCount: failed,
    },
  }
}
