import type { FunctionComponent } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { reasonOf, sessionLost } from '#console/data/call.ts'
import { zoneText } from '#console/data/format.ts'
import { currentSession, logOut, type Session } from '#console/data/session.ts'
import { useAction } from '#console/data/use-action.ts'
import { useLoad } from '#console/data/use-load.ts'
import { Button } from '#console/parts/button.tsx'
import { Empty, Shown, Skeleton } from '#console/parts/empty.tsx'
import { Icon } from '#console/parts/icon.tsx'
import { Mark } from '#console/parts/mark.tsx'
import { Notice } from '#console/parts/notice.tsx'
import { Page } from '#console/parts/page.tsx'
import { bringToMiddle } from '#console/parts/sideways.ts'
import { addressOf, usePlace } from '#console/router.ts'
import type { ScreenProps } from '#console/screen-props.ts'
import { Login } from './login.tsx'
import { type LoadScreen, loaderOf, screenOf, screens } from './screens.ts'

/** Login, or the shell with the screen that the address names. */
export function App() {
  const loaded = useLoad(async (signal) => ({ session: await currentSession(signal) }), [])
  const { reload } = loaded
  useEffect(() => {
    sessionLost.addEventListener('lost', reload)
    return () => sessionLost.removeEventListener('lost', reload)
  }, [reload])
  return (
    <Shown of={loaded}>
      {({ session }) =>
        session === undefined ? <Login onDone={reload} /> : <Shell session={session} onLeft={reload} />
      }
    </Shown>
  )
}

/** Where a screen goes on to another, what had the focus may be gone: then the next Tab goes on from the new one, and not from the top. */
function useFocusThatStays(place: string) {
  const main = useRef<HTMLElement>(null)
  const shown = useRef(place)
  useEffect(() => {
    if (shown.current === place) return
    shown.current = place
    if (document.activeElement === document.body) main.current?.focus()
  }, [place])
  return main
}

function Shell({ session, onLeft }: { readonly session: Session; readonly onLeft: () => void }) {
  const { segments, query } = usePlace()
  const main = useFocusThatStays(segments.join('/'))
  const [first = '', ...rest] = segments
  const current = screenOf(first)
  const nav = useRef<HTMLElement>(null)
  // On a narrow page they stand in a line that is longer than the page.
  useEffect(() => bringToMiddle(nav.current, '[aria-current]'), [first])
  return (
    <div class="shell">
      <button type="button" class="button skip" onClick={() => main.current?.focus()}>
        Go to the screen
      </button>
      <div class="side">
        <a class="brand" href={addressOf([])}>
          <Mark />
          Penstock
        </a>
        <nav aria-label="screens" class="sideways" ref={nav}>
          <ul>
            {screens.map(({ segment, title, icon }) => (
              <li key={segment}>
                <a href={addressOf([segment])} aria-current={segment === first ? 'page' : undefined}>
                  <Icon name={icon} />
                  {title}
                </a>
              </li>
            ))}
          </ul>
        </nav>
        <Who session={session} onLeft={onLeft} />
      </div>
      <main ref={main} tabIndex={-1}>
        {current === undefined ? (
          <Page title="No such screen">
            <Empty title="Nothing is shown under this address" icon="search">
              <a href={addressOf([])}>Go to the first screen</a>
            </Empty>
          </Page>
        ) : (
          <Screen
            key={loaderOf(current, rest) === current.load ? current.segment : `${current.segment}/`}
            load={loaderOf(current, rest)}
            props={{ session, rest, query }}
          />
        )}
      </main>
    </div>
  )
}

function Screen(given: { readonly load: LoadScreen; readonly props: ScreenProps }) {
  const { load, props } = given
  const [found, setFound] = useState<{ readonly View: FunctionComponent<ScreenProps> }>()
  const [error, setError] = useState<unknown>()
  useEffect(() => {
    load().then((View) => setFound({ View }), setError)
  }, [load])
  if (error !== undefined)
    return (
      <Notice
        tone="bad"
        title="This screen could not be loaded"
        action={<Button onClick={() => location.reload()}>Load the page again</Button>}
      >
        Penstock may have been updated since this page was opened. ({reasonOf(error)})
      </Notice>
    )
  return found === undefined ? <Skeleton /> : <found.View {...props} />
}

function Who({ session, onLeft }: { readonly session: Session; readonly onLeft: () => void }) {
  const leave = useAction(async () => {
    await logOut()
    onLeft()
  })
  return (
    <footer>
      {session.isOpen ? (
        <b class="open" title="PENSTOCK_IDENTITIES=trusted: whoever is on this machine may do everything">
          Anyone on this machine
        </b>
      ) : (
        <>
          <b>{session.policy}</b>
          <Button kind="quiet" isLittle icon="leave" isBusy={leave.isRunning} onClick={() => void leave.run()}>
            Log out
          </Button>
          {leave.error !== undefined && <p class="bad-text">{reasonOf(leave.error)}</p>}
        </>
      )}
      <span class="version">
        Penstock {session.version}
        <br />
        Times are {zoneText()}
      </span>
    </footer>
  )
}
