import { answerOf, type Call } from './call.ts'

/**
 * An answer that goes on: one JSON value a line, as they come. It ends with the answer, or once the signal aborts.
 * @throws as `answerOf`
 */
export async function* linesOf(path: string, call: Call): AsyncGenerator<unknown> {
  const { body } = await answerOf(path, call)
  if (body === null) return
  const reader = body.pipeThrough(new TextDecoderStream()).getReader()
  let rest = ''
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      const lines = `${rest}${value}`.split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) if (line !== '') yield JSON.parse(line)
    }
  } finally {
    await reader.cancel().catch(() => {})
  }
}
