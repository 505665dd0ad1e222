import { reasonOf } from '#console/data/call.ts'
import { commandEnds } from '#console/data/device-events.ts'
import { shortened } from '#console/data/format.ts'
import { useLoad } from '#console/data/use-load.ts'
import { Ago } from '#console/parts/moment.tsx'
import { Badge, type Tone } from '#console/parts/notice.tsx'
import { Card } from '#console/parts/page.tsx'
import { Table } from '#console/parts/table.tsx'

/** A command that was sent from this page. */
export interface SentCommand {
  readonly messageId: string
  readonly body: string
  readonly sentAtMs: number
}

const everyMs = 1_500
const bodyLengthMax = 80

/** As the hub calls the ends of commands. */
const endTexts: Readonly<Record<string, readonly [string, Tone]>> = {
  Success: ['Completed', 'good'],
  Expired: ['Expired', 'warn'],
  DeliveryCountExceeded: ['Delivered too often', 'bad'],
  Rejected: ['Rejected', 'bad'],
  Purged: ['Ended by somebody', 'warn'],
}

/** What became of each command that was sent from here, from the events of the device. @param waiting in its queue, or with it */
export function SentCommands(props: {
  readonly deviceId: string
  readonly commands: readonly SentCommand[]
  readonly waiting: number
}) {
  const { deviceId, commands, waiting } = props
  const ids = commands.map(({ messageId }) => messageId)
  const ends = useLoad((signal) => commandEnds(deviceId, ids, signal), [deviceId, ids], everyMs)
  return (
    <Card title="Sent from here" note="Until the device has settled them; kept as long as this page" isFlush>
      {ends.error !== undefined && (
        <p class="pages small muted">What became of them is not known: {reasonOf(ends.error)}</p>
      )}
      <Table
        label="commands that were sent from here"
        rows={commands}
        keyOf={({ messageId }) => messageId}
        columns={[
          { title: 'Body', cell: ({ body }) => <code>{shortened(body, bodyLengthMax)}</code> },
          { title: 'Sent', isShort: true, cell: ({ sentAtMs }) => <Ago atMs={sentAtMs} /> },
          {
            title: 'State',
            isShort: true,
            cell: ({ messageId }) => <End of={ends.value?.get(messageId)} isWaiting={waiting > 0} />,
          },
        ]}
      />
    </Card>
  )
}

/** An end is known once its event is a row, which where nobody wants events it never is. */
function End({ of: end, isWaiting }: { readonly of: string | undefined; readonly isWaiting: boolean }) {
  if (end === undefined) return isWaiting ? <Badge isLive>Enqueued</Badge> : <Badge>Ended; how is not known yet</Badge>
  const [text, tone] = endTexts[end] ?? [end, 'plain']
  return <Badge tone={tone}>{text}</Badge>
}
