import { renderTable } from './render-table.ts'
import { type EndpointVerdict, isEndpointVerified } from './verify-endpoint.ts'

/** What became of the comparison of one endpoint. */
export interface VerifiedEndpoint {
  readonly name: string
  readonly kind: string
  /** Why its kind can't be asked, which is no fault; then there are no verdicts. */
  readonly cannotBeAsked?: string
  /** Why it did not answer; then it is not verified. */
  readonly unanswered?: string
  readonly verdicts: readonly EndpointVerdict[]
}

const columns = [
  ['batches', 'batches'],
  ['lag', 'lagBatches'],
  ['selected', 'selected'],
  ['missing', 'missing'],
  ['surplus', 'surplus'],
  ['differing', 'differing'],
  ['dead', 'deadLetters'],
  ['unchecked', 'uncheckedBatches'],
  ['not read', 'unreadBatches'],
] as const

export function isVerifiedEndpoint({ unanswered, verdicts }: VerifiedEndpoint): boolean {
  return unanswered === undefined && isEndpointVerified(verdicts)
}

/** Lines for one endpoint: partitions that have anything to say, their sum, and what it means. */
export function renderVerifiedEndpoint(endpoint: VerifiedEndpoint, routesSinceMs: number): string {
  const { name, kind, cannotBeAsked, unanswered, verdicts } = endpoint
  const title = `endpoint ${name} (${kind})`
  if (cannotBeAsked !== undefined) return `${title}: cannot be asked what it holds: ${cannotBeAsked}\n`
  if (unanswered !== undefined) return `${title}: NOT compared, since it does not answer: ${unanswered}\n`
  type Field = (typeof columns)[number][1]
  const sum = (field: Field) => verdicts.reduce((total, verdict) => total + verdict[field], 0)
  const text = (field: Field) => sum(field).toLocaleString('en')
  const rows = verdicts
    .filter((verdict) => verdict.batches > 0)
    .map((verdict) => [
      `${verdict.log} ${verdict.partition}`,
      ...columns.map(([, field]) => verdict[field].toLocaleString('en')),
      verdict.faultyOffsets.join(' '),
    ])
  rows.push(['all', ...columns.map(([, field]) => text(field)), ''])
  const lines: string[] = []
  if (isEndpointVerified(verdicts))
    lines.push(`${title} holds what the routes select; ${text('lagBatches')} batches wait`)
  if (sum('missing') + sum('surplus') > 0)
    lines.push(`${title} is NOT as it should be: ${text('missing')} messages missing, ${text('surplus')} too many`)
  if (sum('differing') > 0)
    lines.push(
      `routes changed since, at ${new Date(routesSinceMs).toISOString()}: ${text('differing')} messages from before are not as today's routes ` +
        'select, which says nothing against them',
    )
  if (sum('deadLetters') > 0) lines.push(`${text('deadLetters')} messages became dead letters of this endpoint`)
  if (sum('uncheckedBatches') > 0)
    lines.push(`${text('uncheckedBatches')} batches not checked: the first batch of their insert has left the log`)
  if (sum('unreadBatches') > 0)
    lines.push(`NOT read: ${text('unreadBatches')} batches, which the log did not hand out; try again`)
  const head = ['partition', ...columns.map(([header]) => header), 'look at offset']
  return `${renderTable(head, rows)}\n${lines.join('\n')}\n`
}
