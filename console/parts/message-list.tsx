import { useState } from 'preact/hooks'
import { bytesText, clockText, durationText } from '#console/data/format.ts'
import type { Gap } from '#console/data/seen.ts'
import { bytesOf, type Message } from '#console/data/tail.ts'
import { addressOf } from '#console/router.ts'
import { CodeBlock } from './code-block.tsx'
import { Icon } from './icon.tsx'
import { Tabs } from './tabs.tsx'

/** Messages, newest first; each opens to all that is known of it. */
export function MessageList(props: {
  readonly items: readonly (Message | Gap)[]
  readonly showsDevice?: boolean
  /** It scrolls in itself, so that what stands above stays in sight. */
  readonly isBounded?: boolean
}) {
  const { items, showsDevice = true, isBounded = false } = props
  const [openId, setOpenId] = useState<number>()
  return (
    <ul class={isBounded ? 'messages bounded' : 'messages'}>
      {items.map((item) =>
        'gapMs' in item ? (
          <li key={item.id} class="gap">
            Nothing was received here for {durationText(item.gapMs)}.
          </li>
        ) : (
          <li key={item.id}>
            <button
              type="button"
              class="line"
              aria-expanded={openId === item.id}
              onClick={() => setOpenId(openId === item.id ? undefined : item.id)}
            >
              <Icon name="next" />
              <time>{clockText(item.at)}</time>
              {showsDevice && <b class="cut">{item.device}</b>}
              <code class="cut">{item.encoding === 'utf8' ? item.body : hexLine(item)}</code>
              <span class="muted small">{bytesText(item.bytes)}</span>
            </button>
            {openId === item.id && <MessageDetail message={item} />}
          </li>
        ),
      )}
    </ul>
  )
}

type Form = 'text' | 'hex' | 'properties'

function MessageDetail({ message }: { readonly message: Message }) {
  const [form, setForm] = useState<Form>(message.encoding === 'utf8' ? 'text' : 'hex')
  const { device, bytes, properties, system, partition, offset } = message
  const count = Object.keys(properties).length + Object.keys(system).length
  return (
    <div class="detail stack tight">
      <div class="row apart">
        <Tabs
          label="form of the message"
          current={form}
          onChange={setForm}
          tabs={[
            { id: 'text', title: 'Body' },
            { id: 'hex', title: 'Hex' },
            { id: 'properties', title: `Properties (${count})` },
          ]}
        />
        <span class="small muted">
          <a href={addressOf(['fleet', device])}>{device}</a> · partition {partition}, record {offset}
        </span>
      </div>
      {form === 'text' && <CodeBlock label="body" text={readable(message)} />}
      {form === 'hex' && <CodeBlock label="bytes" text={hexOf(bytesOf(message))} />}
      {form === 'properties' && <Properties properties={properties} system={system} />}
      {form !== 'properties' && bytesOf(message).length < bytes && (
        <p class="small muted">Only the beginning is shown. The row has all of its {bytesText(bytes)}.</p>
      )}
    </div>
  )
}

function Properties({ properties, system }: Pick<Message, 'properties' | 'system'>) {
  const all = [
    ...Object.entries(properties),
    ...Object.entries(system).map(([name, value]) => [`${name} (system)`, value]),
  ]
  if (all.length === 0) return <p class="small muted">It has none.</p>
  return (
    <dl class="facts">
      {all.map(([name, value]) => (
        <>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </>
      ))}
    </dl>
  )
}

/** JSON with its lines; anything else as it is. */
function readable({ body, encoding }: Message): string {
  if (encoding === 'base64') return new TextDecoder().decode(bytesOf({ body, encoding }))
  try {
    return JSON.stringify(JSON.parse(body), null, 2)
  } catch {
    return body
  }
}

function hexLine(message: Message): string {
  return [...bytesOf(message).subarray(0, 48)].map(hex).join(' ')
}

/** Sixteen bytes a line: where, as hex, as characters. */
function hexOf(bytes: Uint8Array): string {
  const lines: string[] = []
  for (let start = 0; start < bytes.length; start += 16) {
    const line = [...bytes.subarray(start, start + 16)]
    const characters = line.map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : '·')).join('')
    lines.push(`${start.toString(16).padStart(6, '0')}  ${line.map(hex).join(' ').padEnd(47)}  ${characters}`)
  }
  return lines.join('\n')
}

function hex(byte: number): string {
  return byte.toString(16).padStart(2, '0')
}
