import type { ComponentChildren } from 'preact'
import { useEffect } from 'preact/hooks'

/** A screen: its name, what it is for in a line, what can be done, and its content. */
export function Page(props: {
  readonly title: string
  readonly lead?: ComponentChildren
  readonly above?: ComponentChildren
  readonly actions?: ComponentChildren
  readonly children: ComponentChildren
}) {
  const { title, lead, above, actions, children } = props
  useEffect(() => {
    document.title = `${title} · Penstock`
  }, [title])
  return (
    <div class="page">
      <header>
        <div>
          {above}
          <h1>{title}</h1>
          {lead !== undefined && <p>{lead}</p>}
        </div>
        {actions !== undefined && <div class="row">{actions}</div>}
      </header>
      {children}
    </div>
  )
}

/** A part of a screen. `isFlush`: its content reaches the edges, as tables do. */
export function Card(props: {
  readonly title?: string
  readonly note?: ComponentChildren
  readonly actions?: ComponentChildren
  readonly isFlush?: boolean
  readonly children: ComponentChildren
}) {
  const { title, note, actions, isFlush, children } = props
  return (
    <section class="card">
      {(title !== undefined || actions !== undefined) && (
        <header>
          <div class="grow">
            {title !== undefined && <h2>{title}</h2>}
            {note !== undefined && <p>{note}</p>}
          </div>
          {actions !== undefined && <div class="row">{actions}</div>}
        </header>
      )}
      <div class={isFlush ? 'flush' : 'body'}>{children}</div>
    </section>
  )
}

export function Tile(props: { readonly name: string; readonly value: string; readonly note?: string | undefined }) {
  const { name, value, note } = props
  return (
    <div class="card tile">
      <small>{name}</small>
      <strong>{value}</strong>
      {note !== undefined && <span>{note}</span>}
    </div>
  )
}
