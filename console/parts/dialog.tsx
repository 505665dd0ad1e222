import type { ComponentChildren } from 'preact'
import { useEffect, useRef } from 'preact/hooks'
import { Button } from './button.tsx'
import { Fault } from './notice.tsx'

/** Asks before something is done. Escape and a click beside it close it. */
export function Dialog(props: {
  readonly title: string
  readonly action: string
  readonly kind?: 'primary' | 'danger'
  readonly isReady?: boolean
  readonly isBusy?: boolean
  readonly error?: unknown
  readonly children: ComponentChildren
  readonly onClose: () => void
  readonly onAct: () => void
}) {
  const { title, action, kind = 'primary', isReady = true, isBusy, error, children, onClose, onAct } = props
  const dialog = useRef<HTMLDialogElement>(null)
  useEffect(() => dialog.current?.showModal(), [])
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: Escape closes a dialog by itself
    <dialog
      ref={dialog}
      aria-label={title}
      onClose={onClose}
      onClick={(event) => {
        if (event.target === dialog.current) onClose()
      }}
    >
      <form
        onSubmit={(event) => {
          event.preventDefault()
          if (isReady) onAct()
        }}
      >
        <h2>{title}</h2>
        {children}
        <Fault of={error} />
        <div class="row end">
          <Button kind="quiet" onClick={onClose}>
            Cancel
          </Button>
          <Button type="submit" kind={kind} disabled={!isReady} isBusy={isBusy === true}>
            {action}
          </Button>
        </div>
      </form>
    </dialog>
  )
}
