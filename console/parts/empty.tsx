import type { ComponentChildren } from 'preact'
import { reasonOf } from '#console/data/call.ts'
import type { Loaded } from '#console/data/use-load.ts'
import { Button } from './button.tsx'
import { Icon, type IconName } from './icon.tsx'
import { Notice } from './notice.tsx'

/** Where a list has nothing: why, and what to do about it. */
export function Empty(props: {
  readonly title: string
  readonly icon?: IconName
  readonly children?: ComponentChildren
}) {
  const { title, icon = 'info', children } = props
  return (
    <div class="empty">
      <Icon name={icon} />
      <b>{title}</b>
      {children}
    </div>
  )
}

/** In the place of what is still to come. */
export function Skeleton({ lines = 5 }: { readonly lines?: number }) {
  return (
    <div class="skeleton" role="status" aria-label="loading">
      {Array.from({ length: lines }, (_, index) => (
        <i key={index} />
      ))}
    </div>
  )
}

/**
 * The states of something that is asked for: loading, failed, and there. What was there before stays beneath the notice that it could
 * not be asked for again, and beneath a sign that something else is asked for.
 */
export function Shown<T>(props: {
  readonly of: Loaded<T>
  readonly lines?: number
  readonly children: (value: T) => ComponentChildren
}) {
  const { of: loaded, lines, children } = props
  const { value, error, isOfBefore, reload } = loaded
  const again = (
    <Button isLittle icon="reload" onClick={reload}>
      Try again
    </Button>
  )
  return (
    <>
      {isOfBefore && <div class="asking" role="status" aria-label="loading" />}
      {error !== undefined && (
        <Notice tone="bad" title={value === undefined ? 'This could not be read' : 'This may be old'} action={again}>
          {reasonOf(error)}
        </Notice>
      )}
      {value !== undefined ? children(value) : error === undefined && <Skeleton {...(lines && { lines })} />}
    </>
  )
}
