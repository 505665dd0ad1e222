/**
 * Refuses requests of web pages that are not this installation's own. A browser sends requests for every page that it shows, also to this
 * machine and with the passwords that it keeps. Three headers tell about the page, and a page can't change them:
 *
 *   Sec-Fetch-Site  how the page is related to the server: same-origin, same-site, cross-site; `none`: no page asks, but the user, by
 *                   the address bar or a bookmark. Browsers send it to loopback and over TLS, also with links, images and forms
 *   Origin          where the page came from. Browsers send it unless the request only reads. It counts where Sec-Fetch-Site is missing
 *   Host            the name of the server in the request. A page may give its own name this machine's address (DNS rebinding). Then the
 *                   browser takes the answer for the page's own, and Host is that name
 *
 * Programs that are not browsers send only Host: the name that they connect to.
 */
import { isIP } from 'node:net'

export class WebCallers {
  readonly #hostnames: ReadonlySet<string>
  readonly #anyHost: boolean
  /** HOT: per request one look-up. Clients call this machine by few different names. */
  readonly #knownHosts = new Set<string>()

  /**
   * @param hostnames names of this installation
   * @param anyHost false where only this machine can connect: then only `hostnames`, localhost and loopback addresses are accepted
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

  /** True for the requested host, and for the names of this installation: a proxy may use another name than its client did. */
  #isOwnOrigin(origin: string, host: string): boolean {
    if (!URL.canParse(origin)) return false
    const { host: originHost, hostname } = new URL(origin)
    // Both leave out the default port of their scheme.
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
