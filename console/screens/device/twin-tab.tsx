import { useState } from 'preact/hooks'
import { CallFault } from '#console/data/call.ts'
import { type Document, patchTwin, type Twin } from '#console/data/devices.ts'
import { useAction } from '#console/data/use-action.ts'
import { Button } from '#console/parts/button.tsx'
import { CodeBlock } from '#console/parts/code-block.tsx'
import { TextArea } from '#console/parts/field.tsx'
import { Fault, Notice } from '#console/parts/notice.tsx'
import { Card } from '#console/parts/page.tsx'
import { differences, mergePatchOf, readObject } from './merge-patch.ts'

/** The twin's three sections: what services want, what the device reports, and tags. */
export function TwinTab({ twin, onChanged }: { readonly twin: Twin; readonly onChanged: () => void }) {
  const { desired, reported } = twin.properties
  const differing = differences(plain(desired), plain(reported))
  return (
    <>
      {differing.length > 0 && (
        <Notice tone="warn" title="Desired and reported differ">
          {differing.join(', ')}
        </Notice>
      )}
      <div class="columns">
        <Section
          key="desired"
          title="Desired"
          section="desired"
          twin={twin}
          now={plain(desired)}
          onChanged={onChanged}
        />
        <Card title="Reported" note={`version ${versionOf(reported)}`}>
          <CodeBlock label="reported properties" text={JSON.stringify(plain(reported), null, 2)} />
        </Card>
        <Section key="tags" title="Tags" section="tags" twin={twin} now={plain(twin.tags)} onChanged={onChanged} />
      </div>
    </>
  )
}

interface SectionProps {
  readonly title: string
  readonly section: 'desired' | 'tags'
  readonly twin: Twin
  readonly now: Document
  readonly onChanged: () => void
}

/** What was begun to be edited goes with the twin that it was begun on: where that has changed meanwhile the save is refused. */
function Section({ title, section, twin, now, onChanged }: SectionProps) {
  const [draft, setDraft] = useState<{ readonly text: string; readonly from: Document; readonly etag: string }>()
  const read = draft === undefined ? undefined : readObject(draft.text)
  const save = useAction(async (signal) => {
    if (draft === undefined || read?.value === undefined) return
    const patch = mergePatchOf(draft.from, read.value)
    await patchTwin(
      twin.deviceId,
      draft.etag,
      section === 'tags' ? { tags: patch } : { properties: { desired: patch } },
      signal,
    )
    setDraft(undefined)
    onChanged()
  })
  const isStale = save.error instanceof CallFault && save.error.status === 412
  const note = section === 'desired' ? `version ${versionOf(twin.properties.desired)}` : undefined
  if (draft === undefined)
    return (
      <Card
        title={title}
        note={note}
        actions={
          <Button isLittle onClick={() => setDraft({ text: JSON.stringify(now, null, 2), from: now, etag: twin.etag })}>
            Edit
          </Button>
        }
      >
        <CodeBlock label={title} text={JSON.stringify(now, null, 2)} />
      </Card>
    )
  return (
    <Card title={title} note={note}>
      <div class="stack tight">
        <TextArea label={title} rows={12} value={draft.text} onInput={(text) => setDraft({ ...draft, text })} />
        {read?.fault !== undefined && <p class="small bad-text">{read.fault}</p>}
        {isStale ? <Stale now={now} /> : <Fault of={save.error} />}
        <div class="row end">
          <Button kind="quiet" onClick={() => setDraft(undefined)}>
            Cancel
          </Button>
          {isStale && draft.etag !== twin.etag && (
            <Button onClick={() => setDraft({ ...draft, etag: twin.etag })}>I have seen it</Button>
          )}
          <Button
            kind="primary"
            isBusy={save.isRunning}
            disabled={read?.value === undefined}
            onClick={() => void save.run()}
          >
            Save
          </Button>
        </div>
      </div>
    </Card>
  )
}

function Stale({ now }: { readonly now: Document }) {
  return (
    <Notice tone="bad" title="The twin was changed meanwhile">
      Your text is kept. Look at what it is now, and save again to set your changes on top of it.
      <CodeBlock label="the twin now" text={JSON.stringify(now, null, 2)} />
    </Notice>
  )
}

/** Without what the hub adds. */
function plain(section: Document): Document {
  return Object.fromEntries(Object.entries(section).filter(([name]) => !name.startsWith('$')))
}

function versionOf(section: Document): string {
  return String(section.$version ?? 1)
}
