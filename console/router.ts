/** The address bar as state: a screen is its path and query, so that an address, kept or sent to somebody, shows the same again. */
import { useEffect, useState } from 'preact/hooks'

const base = '/console'

export interface Place {
  /** Segments below `/console`, decoded: `['fleet', 'thermostat-1']`. */
  readonly segments: readonly string[]
  readonly query: URLSearchParams
}

/** @param segments not encoded: any text */
export function addressOf(
  segments: readonly string[],
  query: Readonly<Record<string, string | undefined>> = {},
): string {
  const search = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) if (value !== undefined && value !== '') search.set(name, value)
  const text = search.toString()
  return `${base}/${segments.map(encodeURIComponent).join('/')}${text === '' ? '' : `?${text}`}`
}

const changed = new EventTarget()

/** Goes to a screen. @param replaces the present address is not worth going back to, as while somebody types a filter */
export function go(address: string, replaces = false): void {
  if (replaces) history.replaceState(null, '', address)
  else history.pushState(null, '', address)
  changed.dispatchEvent(new Event('change'))
}

/** Changes part of the query of the screen that is shown. */
export function setQuery(values: Readonly<Record<string, string | undefined>>): void {
  const { segments, query } = currentPlace()
  go(addressOf(segments, { ...Object.fromEntries(query), ...values }), true)
}

export function usePlace(): Place {
  const [place, setPlace] = useState(currentPlace)
  useEffect(() => {
    const update = (): void => setPlace(currentPlace())
    changed.addEventListener('change', update)
    addEventListener('popstate', update)
    return () => {
      changed.removeEventListener('change', update)
      removeEventListener('popstate', update)
    }
  }, [])
  return place
}

/** Follows links of the console without loading the page anew. */
export function followLinks(): void {
  document.addEventListener('click', (event) => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey) return
    const link = event.target instanceof Element ? event.target.closest('a') : null
    if (link === null || link.target !== '' || link.origin !== location.origin) return
    if (link.pathname !== base && !link.pathname.startsWith(`${base}/`)) return
    event.preventDefault()
    go(link.href)
    scrollTo(0, 0)
  })
}

export function currentPlace(): Place {
  const segments = location.pathname
    .slice(base.length)
    .split('/')
    .filter((segment) => segment !== '')
    .map(decoded)
  return { segments, query: new URLSearchParams(location.search) }
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    return segment
  }
}
