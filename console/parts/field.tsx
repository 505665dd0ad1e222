import type { ComponentChildren } from 'preact'
import { momentText } from '#console/data/format.ts'

/** An input with its name, and what is to be known or is wrong about it. */
export function Field(props: {
  readonly label: string
  readonly hint?: ComponentChildren
  readonly fault?: string | undefined
  readonly children: ComponentChildren
}) {
  const { label, hint, fault, children } = props
  return (
    // biome-ignore lint/a11y/noLabelWithoutControl: its control is among the children
    <label class="field">
      <span>{label}</span>
      {children}
      {fault !== undefined ? <small class="bad">{fault}</small> : hint !== undefined && <small>{hint}</small>}
    </label>
  )
}

export interface TextInputProps {
  readonly value: string
  readonly onInput: (value: string) => void
  /** It is not shown as it is typed. */
  readonly isSecret?: boolean
  readonly placeholder?: string
  readonly name?: string
  readonly autoFocus?: boolean
  readonly required?: boolean
  /** Where no `Field` names it. */
  readonly label?: string
}

export function TextInput(props: TextInputProps) {
  const { value, onInput, isSecret, placeholder, name, autoFocus, required, label } = props
  const common = {
    class: 'input',
    value,
    name,
    placeholder,
    autofocus: autoFocus,
    required,
    'aria-label': label,
    autocomplete: 'off',
    spellcheck: false,
    onInput: (event: { readonly currentTarget: HTMLInputElement }) => onInput(event.currentTarget.value),
  } as const
  return isSecret ? <input type="password" {...common} /> : <input type="text" {...common} />
}

/** A moment in the reader's zone. Its value is ISO 8601 in UTC; empty: none. */
export function TimeInput(props: {
  readonly value: string
  readonly onInput: (value: string) => void
  readonly name?: string
}) {
  const { value, onInput, name } = props
  const atMs = Date.parse(value)
  return (
    <input
      type="datetime-local"
      class="input"
      step="1"
      name={name}
      value={Number.isNaN(atMs) ? '' : momentText(atMs).replace(' ', 'T')}
      onInput={({ currentTarget: { value: typed } }) => onInput(typed === '' ? '' : new Date(typed).toISOString())}
    />
  )
}

export function TextArea(props: {
  readonly value: string
  readonly onInput: (value: string) => void
  readonly rows?: number
  readonly label?: string
}) {
  const { value, onInput, rows = 6, label } = props
  return (
    <textarea
      class="input"
      rows={rows}
      value={value}
      aria-label={label}
      spellcheck={false}
      onInput={(event) => onInput(event.currentTarget.value)}
    />
  )
}

export function Choice<Value extends string>(props: {
  readonly value: Value
  readonly options: readonly (readonly [value: Value, text: string])[]
  readonly onChange: (value: Value) => void
  readonly label?: string
}) {
  const { value, options, onChange, label } = props
  return (
    <select
      class="input"
      value={value}
      aria-label={label}
      onChange={(event) => {
        const chosen = options.find(([name]) => name === event.currentTarget.value)
        if (chosen !== undefined) onChange(chosen[0])
      }}
    >
      {options.map(([name, text]) => (
        <option key={name} value={name}>
          {text}
        </option>
      ))}
    </select>
  )
}
