import { Choice, Field, TextInput } from '#console/parts/field.tsx'
import type { ModelGuard } from '#schemas/models/model.ts'

const kinds = [
  ['', 'As the model says: who announces it, or all'],
  ['announced', 'Of devices that announced a model'],
  ['devicePrefix', 'Of devices whose ids begin with'],
  ['property', 'With a property'],
  ['every', 'All'],
] as const

const fresh: { readonly [Kind in ModelGuard['kind']]: ModelGuard } = {
  announced: { kind: 'announced', modelId: '' },
  devicePrefix: { kind: 'devicePrefix', prefix: '' },
  property: { kind: 'property', name: '', value: '' },
  every: { kind: 'every' },
}

/** Which rows are the model's. `undefined`: the server decides. */
export function GuardFields(props: {
  readonly guard: ModelGuard | undefined
  readonly onChange: (guard: ModelGuard | undefined) => void
}) {
  const { guard, onChange } = props
  return (
    <>
      <Field label="Rows">
        <Choice
          value={guard?.kind ?? ''}
          options={kinds}
          onChange={(kind) => onChange(kind === '' ? undefined : fresh[kind])}
        />
      </Field>
      {guard?.kind === 'announced' && (
        <Field label="Model id">
          <TextInput
            value={guard.modelId}
            placeholder="dtmi:com:example:Thermostat;1"
            onInput={(modelId) => onChange({ ...guard, modelId })}
          />
        </Field>
      )}
      {guard?.kind === 'devicePrefix' && (
        <Field label="Beginning of the id">
          <TextInput value={guard.prefix} placeholder="room-" onInput={(prefix) => onChange({ ...guard, prefix })} />
        </Field>
      )}
      {guard?.kind === 'property' && (
        <>
          <Field label="Property">
            <TextInput value={guard.name} onInput={(name) => onChange({ ...guard, name })} />
          </Field>
          <Field label="Value">
            <TextInput value={guard.value} onInput={(value) => onChange({ ...guard, value })} />
          </Field>
        </>
      )}
    </>
  )
}
