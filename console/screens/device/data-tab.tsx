import { useMemo, useRef } from 'preact/hooks'
import { reasonOf } from '#console/data/call.ts'
import { figureText } from '#console/data/format.ts'
import { type StoredMessage, storedMessages } from '#console/data/stored.ts'
import type { Message } from '#console/data/tail.ts'
import { useLoad } from '#console/data/use-load.ts'
import { useTail } from '#console/data/use-tail.ts'
import { Chart } from '#console/parts/chart.tsx'
import { pointsMax } from '#console/parts/chart-scale.ts'
import { Empty } from '#console/parts/empty.tsx'
import { MessageList } from '#console/parts/message-list.tsx'
import { Card } from '#console/parts/page.tsx'
import { TailStatus } from '#console/parts/tail-status.tsx'
import { numericFields } from './numeric-fields.ts'

/** So many that are rows already begin the lines. */
const storedMax = 500

/** What the device sent last and sends from now on: its numbers as lines, its messages as they are. */
export function DataTab({ deviceId }: { readonly deviceId: string }) {
  const tail = useTail({ device: deviceId })
  const messages = tail.items.filter((item): item is Message => 'device' in item)
  const stored = useLoad((signal) => storedMessages(deviceId, storedMax, signal), [deviceId])
  const fields = useFields(stored.value ?? noMessages, messages)
  return (
    <>
      {stored.error !== undefined && (
        <p class="small muted">What it sent before could not be read: {reasonOf(stored.error)}</p>
      )}
      {fields.size > 0 && (
        <div class="columns narrow">
          {[...fields].map(([path, points], index) => (
            <Card key={path}>
              <Chart
                label={`${path} over time`}
                height={150}
                isFromZero={false}
                series={[{ name: path, color: (index % 6) + 1, points }]}
                valueText={figureText}
              />
            </Card>
          ))}
        </div>
      )}
      <section class="card">
        <header>
          <TailStatus tail={tail} />
        </header>
        {tail.items.length === 0 ? (
          <Empty title="Nothing came in yet" icon="live">
            <p>What the device sends from now on appears here.</p>
          </Empty>
        ) : (
          <MessageList items={tail.items} showsDevice={false} isBounded />
        )}
      </section>
    </>
  )
}

const noMessages: readonly StoredMessage[] = []

/** Of rows, and of all messages since the screen was opened, of which the list has only the last. */
function useFields(stored: readonly StoredMessage[], messages: readonly Message[]): ReturnType<typeof numericFields> {
  const kept = useRef<Message[]>([])
  const newest = messages[0]?.id
  return useMemo(() => {
    const known = kept.current.at(-1)?.id ?? 0
    const fresh = messages.filter(({ id }) => id > known).reverse()
    kept.current = [...kept.current, ...fresh].slice(-pointsMax)
    const begun = kept.current[0]?.at ?? Number.POSITIVE_INFINITY
    return numericFields([...stored.filter(({ at }) => at < begun), ...kept.current].slice(-pointsMax))
  }, [newest, stored])
}
