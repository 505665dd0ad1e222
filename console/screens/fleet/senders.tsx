import { countText } from '#console/data/format.ts'
import type { Noisy } from '#console/data/noisiest.ts'
import type { Loaded } from '#console/data/use-load.ts'
import { Empty, Shown } from '#console/parts/empty.tsx'
import { Card } from '#console/parts/page.tsx'
import { Table } from '#console/parts/table.tsx'
import { addressOf } from '#console/router.ts'

/** Who sends now, registered or not. */
export function Senders({ of: loaded }: { readonly of: Loaded<readonly Noisy[]> }) {
  return (
    <Card title="Sending now" note="The devices that sent most in the last minute, registered or not." isFlush>
      <Shown of={loaded} lines={3}>
        {(senders) =>
          senders.length === 0 ? (
            <Empty title="Nobody sent anything in the last minute" icon="live" />
          ) : (
            <Table
              label="devices that send"
              rows={senders}
              keyOf={({ deviceId }) => deviceId}
              columns={[
                { title: 'Device', cell: ({ deviceId }) => <a href={addressOf(['fleet', deviceId])}>{deviceId}</a> },
                { title: 'Messages/min', isNumber: true, cell: ({ perMinute }) => countText(perMinute) },
              ]}
            />
          )
        }
      </Shown>
    </Card>
  )
}
