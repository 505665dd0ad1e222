import type { ComponentChildren } from 'preact'
import { useEffect, useRef } from 'preact/hooks'
import type { Action } from '#console/data/use-action.ts'
import { Button } from './button.tsx'
import { Fault } from './notice.tsx'

/**
 * Asks before something is done. Escape and a click beside it close it. Only a dialog that is closed gives the focus back to what had it:
 * one that is taken away leaves it nowhere.
 */
export function Dialog(props: {
  readonly title: string
  readonly action: string
  readonly kind?: 'primary' | 'danger'
  readonly isReady?: boolean
  /** What the button does. */
  readonly does: Action<[]>
  readonly children: ComponentChildren
  readonly onClose: () => void
}) {
  const { title, action, kind = 'primary', isReady = true, does, children, onClose } = props
  const dialog = useRef<HTMLDialogElement>(null)
  useEffect(() => {
    const shown = dialog.current
    shown?.showModal()
    return () => shown?.close()
  }, [])
  const close = (): void => dialog.current?.close()
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: Escape closes a dialog by itself
    <dialog
      ref={dialog}
      aria-label={title}
      onClose={onClose}
      onClick={(event) => {
        if (event.target === dialog.current) close()
      }}
    >
      <form
        onSubmit={(event) => {
          event.preventDefault()
          if (isReady) void does.run()
        }}
      >
        <h2>{title}</h2>
        {children}
        <Fault of={does.error} />
        <div class="row end">
          <Button kind="quiet" onClick={close}>
            Cancel
          </Button>
          <Button type="submit" kind={kind} disabled={!isReady} isBusy={does.isRunning}>
            {action}
          </Button>
        </div>
      </form>
    </dialog>
  )
}
