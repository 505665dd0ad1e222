/**
 * Keeps web pages off that are not this installation's own. A browser sends requests for every page that it shows, to this machine and
 * with the passwords that it keeps, and tells three things that a page can't change:
 *
 *   Sec-Fetch-Site  how the page that asks stands to what it asks: same-origin, same-site, cross-site; `none`: no page asks, but the
 *                   user, by the address bar or a bookmark. Told to loopback and over TLS, with links, images and forms, too
 *   Origin          where the page came from, unless it only reads; what remains where Sec-Fetch-Site is not told
 *   Host            the name that was asked for. A page may give its own name this machine's address (DNS rebinding): then the browser
 *                   takes the answer for the page's own, and Host is that name
 *
 * Programs name what they were told to connect to, and nothing else.
 */
import { isIP } from 'node:net'

export class WebCallers {
  readonly #hostnames: ReadonlySet<string>
  readonly #anyHost: boolean
  /** HOT: per request one look-up; what clients of this machine call it are few texts. */
  readonly #knownHosts = new Set<string>()

  /**
   * @param hostnames names of this installation
   * @param anyHost false where only this machine asks, which needs no names but those, localhost and loopback addresses
   */
  constructor(hostnames: readonly string[], anyHost: boolean) {
    this.#hostnames = new Set(hostnames.map((name) => name.trim().toLowerCase()))
    this.#anyHost = anyHost
  }

  /**
   * Why a request is refused; undefined if it is not. Each is empty where the request lacks that header.
   * @param fetchSite Sec-Fetch-Site
   */
  fault(host: string, origin: string, fetchSite: string): string | undefined {
    if (!this.#anyHost && host !== '' && !this.#isHere(host))
      return `this address is not served under the name ${JSON.stringify(host)}; PENSTOCK_HOSTNAME holds its names`
    const isOwn =
      (fetchSite === '' || fetchSite === 'same-origin' || fetchSite === 'none') &&
      (origin === '' || this.#isOwnOrigin(origin, host))
    return isOwn ? undefined : 'requests of web pages from elsewhere are refused'
  }

  /** The host that was asked, or the name of this installation: a proxy may ask under another than it was asked under. */
  #isOwnOrigin(origin: string, host: string): boolean {
    if (!URL.canParse(origin)) return false
    const { host: originHost, hostname } = new URL(origin)
    // Both lack the port that is their scheme's own.
    return (
      (originHost !== '' && originHost === host.toLowerCase()) || (!isLocal(hostname) && this.#hostnames.has(hostname))
    )
  }

  #isHere(host: string): boolean {
    if (this.#knownHosts.has(host)) return true
    const name = /^(?:\[([0-9a-f:.]+)\]|([^:[\]]+))(?::\d*)?$/i.exec(host)
    const hostname = (name?.[1] ?? name?.[2] ?? '').toLowerCase()
    const isHere = this.#hostnames.has(hostname) || isLocal(hostname)
    if (isHere && this.#knownHosts.size < knownHostsMax) this.#knownHosts.add(host)
    return isHere
  }
}

const knownHostsMax = 100

/** Under these names anyone on this machine may serve pages. */
function isLocal(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '::1' || (isIP(hostname) === 4 && hostname.startsWith('127.'))
}
