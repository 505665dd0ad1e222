import { createHash } from 'node:crypto'
import { gunzipSync, gzipSync } from 'node:zlib'
import { type HttpAnswer, textAnswer } from '#runtime/http/answer.ts'
import type { HttpRequest } from '#runtime/http/request.ts'
import type { HttpRouter } from '#runtime/http/serving.ts'
import { type BuiltConsole, preloadsOf } from './built-console.ts'
import { consoleNote } from './console-note.ts'

/**
 * Nothing from another origin, no script or style in the page itself, no frame around it, and no text that becomes HTML or code
 * ("Trusted Types"). The console needs no exception.
 */
const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "font-src 'self'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ')

const securityHeaders = {
  'Content-Security-Policy': contentSecurityPolicy,
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Opener-Policy': 'same-origin',
}

/** An answer that is the same for everyone, kept as browsers ask for it. */
class KeptText {
  readonly #headers: Readonly<Record<string, string>>
  readonly #tag: string
  readonly #packed: Buffer
  /** For clients that do not unpack; there may never be one. */
  #plain: Buffer | undefined

  /** @param packed by gzip */
  constructor(packed: Buffer, type: string, cached: string) {
    this.#packed = packed
    // Weak, as it is that of both encodings (RFC 9110 section 8.8.3.3).
    this.#tag = `W/"${createHash('sha256').update(packed).digest('base64url').slice(0, 22)}"`
    this.#headers = {
      ...securityHeaders,
      'Content-Type': `${type}; charset=utf-8`,
      'Cache-Control': cached,
      ETag: this.#tag,
      Vary: 'Accept-Encoding',
    }
  }

  answer(request: HttpRequest): HttpAnswer {
    if (request.header('if-none-match') === this.#tag) return { status: 304, headers: this.#headers }
    if (!/\bgzip\b/.test(request.header('accept-encoding'))) {
      this.#plain ??= gunzipSync(this.#packed)
      return { status: 200, headers: this.#headers, body: this.#plain }
    }
    return { status: 200, headers: { ...this.#headers, 'Content-Encoding': 'gzip' }, body: this.#packed }
  }
}

/**
 * The console's page under every path below `/console/` that nothing else is served under, so that each screen has an address of its
 * own; and what it loads. All of it is held in memory and found by its exact name: no path leads to a file.
 * @param built `undefined`: there is none, and the page says what to run
 */
export function routeAssets(router: HttpRouter, built: BuiltConsole | undefined): void {
  const note = consoleNote('missing') ?? ''
  const pageWith = (scripts: readonly string[]): KeptText | undefined =>
    built &&
    new KeptText(gzipSync(built.page.replace('</head>', `${preloadsOf(scripts)}</head>`)), 'text/html', 'no-cache')
  const page = pageWith([])
  const pages = new Map(Object.entries(built?.screens ?? {}).map(([segment, scripts]) => [segment, pageWith(scripts)]))
  const assets = new Map(
    built?.assets.map(({ name, type, packed }) => [
      name,
      new KeptText(Buffer.from(packed, 'base64'), type, 'public, max-age=31536000, immutable'),
    ]),
  )
  router.route({
    method: 'GET',
    pattern: '/',
    handle: () => ({ status: 302, headers: { Location: '/console/' } }),
  })
  router.route({
    method: 'GET',
    pattern: '/console/*',
    handle: (request) => {
      const [, , first = '', second = ''] = request.path.split('/')
      const found = (second === '' ? undefined : pages.get(`${first}/`)) ?? pages.get(first) ?? page
      return found?.answer(request) ?? textAnswer(503, `${note}\n`, securityHeaders)
    },
  })
  router.route({
    method: 'GET',
    pattern: '/console/assets/:name',
    handle: (request) =>
      assets.get(request.parameter(0) ?? '')?.answer(request) ?? textAnswer(404, 'no such part of the console\n'),
  })
}
