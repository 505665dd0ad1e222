import type { ComponentChildren } from 'preact'
import { amountText, bytesText, countedText, countText, durationText } from '#console/data/format.ts'
import { type History, lastOf } from '#console/data/history.ts'
import { Icon, type IconName } from '#console/parts/icon.tsx'
import type { Delivery } from './delivery-data.ts'

interface Stop {
  readonly title: string
  readonly icon: IconName
  readonly what: string
  readonly value: string
  readonly note: ComponentChildren
  readonly tone: 'good' | 'warn' | 'bad' | ''
}

/** The stations of a message with what passes them now. What is not known is a dash, not a zero. */
export function Path(props: { readonly history: History | undefined; readonly delivery: Delivery | undefined }) {
  return (
    <ol class="path" aria-label="the way of a message">
      {stopsOf(props).map(({ title, icon, what, value, note, tone }) => (
        <li key={title} class={`card ${tone}`}>
          <small>
            <Icon name={icon} /> {title}
          </small>
          <strong>{value}</strong>
          <span>{what}</span>
          <em>{note}</em>
        </li>
      ))}
    </ol>
  )
}

function stopsOf({ history, delivery }: Parameters<typeof Path>[0]): readonly Stop[] {
  const now = (name: string): number | undefined => lastOf(history, name)
  const amount = (name: string): string => {
    const value = now(name)
    return value === undefined ? '–' : amountText(value)
  }
  const refused = (now('refused') ?? 0) + (now('dropped') ?? 0)
  const failures = now('append_failures') ?? 0
  const telemetry = delivery?.telemetry
  const stored = delivery?.tables?.find(({ table }) => table === 'telemetry' || table.endsWith('.telemetry'))
  const standing = now('partitions_standing_still') ?? 0
  const oldest = telemetry?.oldestSeconds ?? now('lag_seconds')
  const waitSeconds = oldest ?? 0
  return [
    {
      title: 'Devices',
      icon: 'fleet',
      what: 'connections',
      value: amount('connections'),
      note: `${amount('received')} messages/s`,
      tone: '',
    },
    {
      title: 'Edge',
      icon: 'live',
      what: 'acknowledged a second',
      value: amount('acknowledged'),
      note: history === undefined ? '' : refused > 0 ? `${amountText(refused)} a second refused` : 'none refused',
      tone: history === undefined ? '' : refused > 0 ? 'warn' : 'good',
    },
    {
      title: 'Log',
      icon: 'delivery',
      what: 'batches a second',
      value: amount('appended_batches'),
      note: history === undefined ? '' : failures > 0 ? 'appends fail' : `${bytesText(now('log_bytes') ?? 0)} kept`,
      tone: history === undefined ? '' : failures > 0 ? 'bad' : 'good',
    },
    {
      title: 'Worker',
      icon: 'routes',
      what: 'messages to come',
      value: telemetry === undefined ? '–' : countText(telemetry.messagesEstimated),
      note: waitText(standing, oldest),
      tone: history === undefined ? '' : standing > 0 || waitSeconds > 60 ? 'bad' : waitSeconds > 5 ? 'warn' : 'good',
    },
    {
      title: 'Table',
      icon: 'sql',
      what: 'rows a second',
      value: amount('stored'),
      note: stored === undefined ? 'penstock.telemetry' : countedText(stored.rows, 'row'),
      tone: history === undefined ? '' : (now('insert_failures') ?? 0) > 0 ? 'bad' : 'good',
    },
  ]
}

function waitText(standing: number, oldestSeconds: number | undefined): string {
  if (standing > 0) return `standing still: ${countedText(standing, 'partition')}`
  if (oldestSeconds === undefined) return ''
  return oldestSeconds === 0 ? 'nothing waits' : `the oldest is ${durationText(oldestSeconds * 1_000)} old`
}
