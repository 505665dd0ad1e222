import { Notice } from '#console/parts/notice.tsx'
import type { ModelNote } from '#schemas/models/model.ts'
import { lineAt, placeInJson } from './place-in-json.ts'

/** What is wrong with a document, each with the line that it stands in. */
export function DocumentFaults({ text, problems }: { readonly text: string; readonly problems: readonly ModelNote[] }) {
  return (
    <>
      {problems.map(({ path, message }) => {
        const place = placeInJson(text, path)
        const line = place && lineAt(text, place)
        return (
          <Notice
            key={`${path} ${message}`}
            tone="bad"
            title={line === undefined ? path : `Line ${line.number}: ${path || 'the document'}`}
          >
            {message}
            {line !== undefined && (
              <pre class="marked">
                <mark>{line.text.slice(0, shownLengthMax)}</mark>
              </pre>
            )}
          </Notice>
        )
      })}
    </>
  )
}

/** Of a document that is written in one line. */
const shownLengthMax = 200
