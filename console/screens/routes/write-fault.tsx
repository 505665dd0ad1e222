import type { ComponentChildren } from 'preact'
import { CallFault } from '#console/data/call.ts'
import type { Action } from '#console/data/use-action.ts'
import { Button } from '#console/parts/button.tsx'
import { Fault, Notice } from '#console/parts/notice.tsx'

/** Why the routes were not changed; where somebody else was first, how to go on. */
export function WriteFault(props: {
  readonly of: Pick<Action<[]>, 'error' | 'forget'>
  /** What the button says, which asks for the routes again. */
  readonly action: string
  readonly onAgain: () => void
  readonly children: ComponentChildren
}) {
  const { action, onAgain, children } = props
  const { error, forget } = props.of
  if (!(error instanceof CallFault) || error.status !== 412) return <Fault of={error} />
  return (
    <Notice
      tone="bad"
      title="Somebody changed the routes meanwhile"
      action={
        <Button
          isLittle
          icon="reload"
          onClick={() => {
            forget()
            onAgain()
          }}
        >
          {action}
        </Button>
      }
    >
      {children}
    </Notice>
  )
}
