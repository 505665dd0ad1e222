import { useState } from 'preact/hooks'
import { logIn } from '#console/data/session.ts'
import { useAction } from '#console/data/use-action.ts'
import { Button } from '#console/parts/button.tsx'
import { Field, TextInput } from '#console/parts/field.tsx'
import { Mark } from '#console/parts/mark.tsx'
import { Fault } from '#console/parts/notice.tsx'

/** There is no password: a policy's key is what services prove themselves with, and so does the console. */
export function Login({ onDone }: { readonly onDone: () => void }) {
  const [policy, setPolicy] = useState('iothubowner')
  const [key, setKey] = useState('')
  const login = useAction(async () => {
    const given = credentialsIn(policy, key)
    await logIn(given.policy, given.key)
    onDone()
  })
  return (
    <div class="login">
      <form
        class="card stack"
        onSubmit={(event) => {
          event.preventDefault()
          void login.run()
        }}
      >
        <h1 class="row">
          <Mark />
          Penstock
        </h1>
        <Field label="Policy">
          <TextInput value={policy} onInput={setPolicy} name="policy" required />
        </Field>
        <Field
          label="Key or connection string"
          hint={
            <>
              On the machine of Penstock: <code>npx penstock policies show iothubowner</code>
            </>
          }
        >
          <TextInput isSecret value={key} onInput={setKey} name="key" autoFocus required />
        </Field>
        <Fault of={login.error} />
        <Button type="submit" kind="primary" isBusy={login.isRunning}>
          Log in
        </Button>
      </form>
    </div>
  )
}

/** A connection string, as `penstock policies show` prints it, names its policy. */
function credentialsIn(policy: string, text: string): { readonly policy: string; readonly key: string } {
  const fields = new Map(
    text
      .trim()
      .split(';')
      .map((field) => {
        const equals = field.indexOf('=')
        return [field.slice(0, equals), field.slice(equals + 1)]
      }),
  )
  const key = fields.get('SharedAccessKey')
  return key === undefined ? { policy, key: text.trim() } : { policy: fields.get('SharedAccessKeyName') ?? policy, key }
}
