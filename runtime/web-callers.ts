/**
 * Keeps web pages off ports that only this machine reaches. A browser on it reaches them for every page that it shows, and tells two
 * things that a page can't change:
 *
 *   Host     the name that the page asked for. A page may give its own name this machine's address (DNS rebinding): then the browser
 *            takes the answer for the page's own, and Host is that name.
 *   Origin   where the page came from, unless it only reads from where it came
 *
 * Programs name what they were told to connect to, and no Origin.
 */
import { isIP } from 'node:net'

export class WebCallers {
  readonly #hostnames: ReadonlySet<string>
  readonly #ownPagesOnly: boolean
  /** HOT: per request one look-up; what clients of this machine call it are few texts. */
  readonly #knownHosts = new Set<string>()

  /**
   * @param hostnames names of this installation besides localhost and loopback addresses
   * @param ownPagesOnly whether pages from elsewhere are refused by their Origin too, where a request needs no credentials
   */
  constructor(hostnames: readonly string[], ownPagesOnly: boolean) {
    this.#hostnames = new Set(['localhost', '::1', ...hostnames.map((name) => name.trim().toLowerCase())])
    this.#ownPagesOnly = ownPagesOnly
  }

  /**
   * Why a request is refused; undefined if it is not.
   * @param host of its headers, empty if there is none (which no browser sends); @param origin the same
   */
  fault(host: string, origin: string): string | undefined {
    if (host !== '' && !this.#isHere(host))
      return `this address is not served under the name ${JSON.stringify(host)}; PENSTOCK_HOSTNAME holds its names`
    if (!this.#ownPagesOnly || origin === '') return undefined
    const isHere = URL.canParse(origin) && this.#isHere(new URL(origin).host)
    return isHere ? undefined : 'requests of web pages from elsewhere are refused'
  }

  #isHere(host: string): boolean {
    if (this.#knownHosts.has(host)) return true
    const name = /^(?:\[([0-9a-f:.]+)\]|([^:[\]]+))(?::\d*)?$/i.exec(host)
    const hostname = (name?.[1] ?? name?.[2] ?? '').toLowerCase()
    const isHere = this.#hostnames.has(hostname) || (isIP(hostname) === 4 && hostname.startsWith('127.'))
    if (isHere && this.#knownHosts.size < knownHostsMax) this.#knownHosts.add(host)
    return isHere
  }
}

const knownHostsMax = 100
