/**
 * The editor of statements. It makes its styles while it runs, which the page's Content-Security-Policy refuses in the page; in a shadow
 * root it keeps them as adopted sheets, which the policy has nothing against.
 */
import {
  acceptCompletion,
  autocompletion,
  type CompletionContext,
  type CompletionResult,
  completionKeymap,
} from '@codemirror/autocomplete'
import { defaultKeymap, history, historyKeymap } from '@codemirror/commands'
import { bracketMatching, syntaxTree } from '@codemirror/language'
import { EditorState, StateEffect, StateField } from '@codemirror/state'
import { Decoration, type DecorationSet, drawSelection, EditorView, keymap, lineNumbers } from '@codemirror/view'
import { useEffect, useImperativeHandle, useRef } from 'preact/hooks'
import { clickhouse, offeredKeywords } from './clickhouse-dialect.ts'
import { completionsAt, type SqlNames } from './completions.ts'
import { look } from './editor-look.ts'
import { type Place, type StatementRange, statementRangeAt } from './statement-range.ts'

/** What a screen does with its editor. */
export interface EditorHandle {
  /** What is selected, else the statement that the cursor stands in; where it lies in the text. */
  chosen(): StatementRange
  /** All of it, also what the screen was not told yet. */
  text(): string
  /** In place of what is selected, and goes there. */
  insert(text: string): void
  /** Marks a fault until the text changes, and goes there. */
  mark(place: Place): void
}

export interface SqlEditorProps {
  readonly text: string
  readonly names: SqlNames
  readonly handle: { current: EditorHandle | null }
  readonly onChange: (text: string) => void
  readonly onRun: () => void
}

export function SqlEditor(props: SqlEditorProps) {
  const { text, handle } = props
  const place = useRef<HTMLDivElement>(null)
  const view = useRef<EditorView | undefined>(undefined)
  const given = useRef(props)
  given.current = props
  /** What the screen was told, and has not given back yet: while somebody types it comes back late, and is no change. */
  const told = useRef([text])

  useEffect(() => {
    const { current } = place
    if (current === null) return
    const root = current.shadowRoot ?? current.attachShadow({ mode: 'open' })
    const typing: Typing = { timer: undefined }
    const made = new EditorView({
      root,
      parent: root,
      state: EditorState.create({ doc: given.current.text, extensions: extensionsFor(given, told, typing) }),
    })
    view.current = made
    return () => {
      clearTimeout(typing.timer)
      made.destroy()
    }
  }, [])

  useEffect(() => {
    const { current } = view
    if (current === undefined) return
    const known = told.current.lastIndexOf(text)
    told.current = known < 0 ? [text] : told.current.slice(known)
    if (known >= 0) return
    current.dispatch({ changes: { from: 0, to: current.state.doc.length, insert: text } })
  }, [text])

  useImperativeHandle(handle, () => handleOf(view), [])
  return <div class="editor input" ref={place} />
}

function handleOf(view: { readonly current: EditorView | undefined }): EditorHandle {
  return {
    chosen: () => (view.current === undefined ? { from: 0, to: 0, text: '' } : chosenIn(view.current.state)),
    text: () => view.current?.state.doc.toString() ?? '',
    insert: (text) => {
      view.current?.dispatch(view.current.state.replaceSelection(text), { scrollIntoView: true })
      view.current?.focus()
    },
    mark: ({ from, to }) => {
      view.current?.dispatch({ effects: markFault.of({ from, to }), selection: { anchor: from }, scrollIntoView: true })
    },
  }
}

function chosenIn(state: EditorState): StatementRange {
  const { from, to, head } = state.selection.main
  const text = state.doc.toString()
  if (text.slice(from, to).trim() === '') return statementRangeAt(text, head)
  return { from, to, text: text.slice(from, to) }
}

/** The screen is told once somebody pauses: browsers let an address change some 200 times in half a minute. */
const typingMs = 250

interface Typing {
  timer: ReturnType<typeof setTimeout> | undefined
}

function extensionsFor(given: { readonly current: SqlEditorProps }, told: { current: string[] }, typing: Typing) {
  return [
    lineNumbers(),
    history(),
    drawSelection(),
    bracketMatching(),
    clickhouse.extension,
    look,
    faults,
    EditorView.lineWrapping,
    EditorView.domEventHandlers({ beforeinput: typedInto }),
    EditorView.contentAttributes.of({ 'aria-label': 'statement', spellcheck: 'false', autocapitalize: 'off' }),
    autocompletion({
      override: [(context) => completionSource(context, given.current.names)],
      icons: false,
      tooltipClass: () => 'cm-offers',
    }),
    keymap.of([
      {
        key: 'Mod-Enter',
        run: () => {
          given.current.onRun()
          return true
        },
      },
      // Elsewhere Tab goes on to the next control, as it does everywhere.
      { key: 'Tab', run: acceptCompletion },
      ...completionKeymap,
      ...historyKeymap,
      ...defaultKeymap,
    ]),
    EditorView.updateListener.of(({ docChanged, view }) => {
      if (!docChanged) return
      clearTimeout(typing.timer)
      typing.timer = setTimeout(() => {
        const text = view.state.doc.toString()
        if (text === told.current.at(-1)) return
        told.current.push(text)
        given.current.onChange(text)
      }, typingMs)
    }),
  ]
}

/**
 * What is typed goes into the editor's own text. A browser that put it into the page would keep the look of what it takes the place of, by
 * an inline style, which the page's policy refuses and reports. What is composed of several keys it must put there.
 */
function typedInto(event: InputEvent, view: EditorView): boolean {
  const { inputType, data, isComposing } = event
  if (inputType !== 'insertText' || data === null || isComposing || view.composing) return false
  event.preventDefault()
  view.dispatch(view.state.replaceSelection(data), { userEvent: 'input.type', scrollIntoView: true })
  return true
}

function completionSource(context: CompletionContext, names: SqlNames): CompletionResult | null {
  const node = syntaxTree(context.state).resolveInner(context.pos, -1)
  if (/String|Comment/.test(node.name)) return null
  const { from, text } = statementRangeAt(context.state.doc.toString(), context.pos)
  const found = completionsAt(text, Math.max(context.pos - from, 0), names, offeredKeywords, context.explicit)
  if (found === undefined) return null
  return { from: from + found.from, options: [...found.options], validFor: /^\w*$/ }
}

const markFault = StateEffect.define<Place>()
const faultMark = Decoration.mark({ class: 'cm-fault', attributes: { 'aria-invalid': 'true' } })

/** One at a time; it goes once somebody mends the text. */
const faults = StateField.define<DecorationSet>({
  create: () => Decoration.none,
  update(marks, transaction) {
    let next = transaction.docChanged ? Decoration.none : marks
    for (const effect of transaction.effects)
      if (effect.is(markFault)) {
        const from = Math.min(effect.value.from, transaction.state.doc.length)
        const to = Math.min(effect.value.to, transaction.state.doc.length)
        next = to > from ? Decoration.set([faultMark.range(from, to)]) : Decoration.none
      }
    return next
  },
  provide: (field) => EditorView.decorations.from(field),
})
