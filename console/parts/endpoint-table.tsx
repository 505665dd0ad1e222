import { type EndpointState, lagOf } from '#console/data/endpoints.ts'
import { agoText, countText, durationText } from '#console/data/format.ts'
import { Ago } from './moment.tsx'
import { Badge, type Tone } from './notice.tsx'
import { type Column, Table } from './table.tsx'

const tones: Readonly<Record<string, Tone>> = { healthy: 'good', degraded: 'warn', unhealthy: 'bad', dead: 'bad' }

const columns: readonly Column<EndpointState>[] = [
  { title: 'Endpoint', cell: ({ endpointId }) => <b>{endpointId}</b> },
  {
    title: 'Health',
    isShort: true,
    cell: ({ healthStatus }) => <Badge tone={tones[healthStatus]}>{healthStatus}</Badge>,
  },
  { title: 'Batches to come', isNumber: true, cell: (endpoint) => countText(lagOf(endpoint).behind) },
  {
    title: 'Oldest',
    isNumber: true,
    cell: (endpoint) => (lagOf(endpoint).ageMs === 0 ? '–' : durationText(lagOf(endpoint).ageMs)),
  },
  {
    title: 'Last success',
    isShort: true,
    cell: ({ lastSuccessfulSendAttemptAtMs: atMs = 0 }) => <Ago atMs={atMs} />,
  },
  {
    title: 'Last failure',
    cell: ({ lastKnownError, lastKnownErrorAtMs: atMs }) =>
      lastKnownError === undefined ? '–' : `${atMs === undefined ? '' : `${agoText(atMs)}: `}${lastKnownError}`,
  },
]

export function EndpointTable({ endpoints }: { readonly endpoints: readonly EndpointState[] }) {
  return <Table label="endpoints" columns={columns} rows={endpoints} keyOf={({ endpointId }) => endpointId} />
}
