import { useState } from 'preact/hooks'
import { Mark } from './app.tsx'
import { logIn } from './data/session.ts'
import { useAction } from './data/use-action.ts'
import { Button } from './parts/button.tsx'
import { Field, TextInput } from './parts/field.tsx'
import { Fault } from './parts/notice.tsx'

/** There is no password: a policy's key is what services prove themselves with, and so does the console. */
export function Login({ onDone }: { readonly onDone: () => void }) {
  const [policy, setPolicy] = useState('iothubowner')
  const [key, setKey] = useState('')
  const login = useAction(async () => {
    await logIn(policy, key.trim())
    onDone()
  })
  return (
    <div class="login">
      <form
        class="stack"
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
          label="Key"
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
