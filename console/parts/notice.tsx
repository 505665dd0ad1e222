import type { ComponentChildren } from 'preact'
import { reasonOf } from '#console/data/call.ts'
import { Icon } from './icon.tsx'

export type Tone = 'plain' | 'good' | 'warn' | 'bad'

export function Notice(props: {
  readonly tone?: Tone
  readonly title?: string
  readonly children?: ComponentChildren
  readonly action?: ComponentChildren
}) {
  const { tone = 'plain', title, children, action } = props
  const icon = tone === 'plain' ? 'info' : tone === 'good' ? 'check' : 'warning'
  return (
    <div class={`notice ${tone}`} role={tone === 'bad' ? 'alert' : 'status'}>
      <Icon name={icon} />
      <div>
        {title !== undefined && <b>{title}</b>}
        {children}
      </div>
      {action}
    </div>
  )
}

/** What went wrong with an action; nothing if nothing did. */
export function Fault({ of: error }: { readonly of: unknown }) {
  return error === undefined ? null : <Notice tone="bad">{reasonOf(error)}</Notice>
}

export function Badge(props: {
  readonly tone?: Tone | undefined
  readonly isLive?: boolean
  readonly children: ComponentChildren
}) {
  const { tone = 'plain', isLive, children } = props
  return <span class={`badge ${tone}${isLive ? ' live' : ''}`}>{children}</span>
}
