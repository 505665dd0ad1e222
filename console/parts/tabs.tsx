import { useEffect, useRef } from 'preact/hooks'
import { bringToMiddle } from './sideways.ts'

export interface Tab<Id extends string> {
  readonly id: Id
  readonly title: string
}

/** Arrow keys go from tab to tab (WAI-ARIA Authoring Practices, "Tabs"). */
export function Tabs<Id extends string>(props: {
  readonly tabs: readonly Tab<Id>[]
  readonly current: Id
  readonly label: string
  readonly onChange: (id: Id) => void
}) {
  const { tabs, current, label, onChange } = props
  const list = useRef<HTMLDivElement>(null)
  // Where there is no room for all of them.
  useEffect(() => bringToMiddle(list.current, '[aria-selected="true"]'), [current])
  const onKeyDown = (event: KeyboardEvent): void => {
    const step = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0
    if (step === 0) return
    const at = tabs.findIndex(({ id }) => id === current)
    const next = (at + step + tabs.length) % tabs.length
    const tab = tabs[next]
    if (tab === undefined) return
    event.preventDefault()
    onChange(tab.id)
    const button = list.current?.children[next]
    if (button instanceof HTMLElement) button.focus()
  }
  return (
    <div class="tabs sideways" role="tablist" aria-label={label} ref={list} onKeyDown={onKeyDown}>
      {tabs.map(({ id, title }) => (
        <button
          key={id}
          type="button"
          role="tab"
          aria-selected={id === current}
          tabIndex={id === current ? 0 : -1}
          onClick={() => onChange(id)}
        >
          {title}
        </button>
      ))}
    </div>
  )
}
