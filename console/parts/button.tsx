import type { ComponentChildren } from 'preact'
import { Icon, type IconName } from './icon.tsx'

export interface ButtonProps {
  readonly children: ComponentChildren
  readonly kind?: 'plain' | 'primary' | 'danger' | 'quiet'
  readonly icon?: IconName
  readonly isLittle?: boolean
  readonly isBusy?: boolean
  readonly disabled?: boolean
  readonly type?: 'button' | 'submit'
  readonly title?: string
  readonly onClick?: () => void
}

export function Button(props: ButtonProps) {
  const { children, kind = 'plain', icon, isLittle, isBusy, disabled, type = 'button', title, onClick } = props
  return (
    <button
      type={type}
      class={`button ${kind}${isLittle ? ' little' : ''}`}
      disabled={disabled || isBusy}
      aria-busy={isBusy}
      title={title}
      onClick={onClick}
    >
      {icon && <Icon name={icon} />}
      {children}
    </button>
  )
}
