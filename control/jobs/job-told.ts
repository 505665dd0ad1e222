/** What the operations on jobs say of themselves. */
import { continuation, continues } from '#control/rest/hub-shapes.ts'
import type { OperationTold } from '#control/rest/told.ts'
import { anObject, aText, listOf, named } from '#runtime/api/shapes.ts'
import { gives, json } from '#runtime/api/told.ts'

const job = named('Job', { ...anObject, properties: { jobId: aText, type: aText, status: aText } })

export const jobTold = {
  put: {
    summary: 'Begins a job: a change of twins, or a method, for each device that meets a condition',
    asked: json(anObject),
    answered: { 200: gives('it', job) },
    faults: ['JOB_INVALID', 'JOB_EXISTS', 'JOBS_FULL', 'REGISTRY_QUERY_INVALID'],
  },
  get: {
    summary: 'A job, and how far it is',
    answered: { 200: gives('it', job) },
    faults: ['JOB_UNKNOWN'],
  },
  cancel: {
    summary: 'Ends a job: what was done stays done',
    answered: { 200: gives('it', job) },
    faults: ['JOB_UNKNOWN', 'JOB_INVALID'],
  },
  list: {
    summary: 'Jobs that wait or run, and those that ended not long ago, page by page',
    query: { jobType: 'only those of this type', jobStatus: 'only those of this status' },
    headers: { ...continues, 'x-ms-max-item-count': 'items of a page' },
    answered: { 200: gives('a page', listOf(job), continuation) },
  },
} as const satisfies Readonly<Record<string, OperationTold>>
