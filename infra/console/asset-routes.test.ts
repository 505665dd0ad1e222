import { gunzipSync, gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import type { HttpAnswer } from '#runtime/http/answer.ts'
import type { HttpRequest } from '#runtime/http/request.ts'
import type { HttpRouter } from '#runtime/http/serving.ts'
import { routeAssets } from './asset-routes.ts'
import type { BuiltConsole } from './built-console.ts'

const script = 'export const answer = 42\n'
const built: BuiltConsole = {
  sources: 'x',
  page: '<head></head>',
  screens: { fleet: ['fleet-1.js'], 'fleet/': ['device-1.js'], live: ['live-1.js'] },
  assets: [{ name: 'main-1.js', type: 'text/javascript', packed: gzipSync(script).toString('base64') }],
}

type Handle = (request: HttpRequest) => HttpAnswer

/** What a client with these headers is answered. */
function ask(pattern: string, headers: Readonly<Record<string, string>>, path = '/console/'): HttpAnswer {
  const handlers = new Map<string, Handle>()
  const router = { route: ({ pattern, handle }: { pattern: string; handle: Handle }) => handlers.set(pattern, handle) }
  routeAssets(router as unknown as HttpRouter, built)
  const request = { header: (name: string) => headers[name] ?? '', parameter: () => 'main-1.js', path }
  return handlers.get(pattern)?.(request as unknown as HttpRequest) as HttpAnswer
}

test.each([
  ['/console/assets/:name', script],
  ['/console/*', built.page],
])('%s is sent packed to who unpacks it, plain to who does not, and not again to who has it', (pattern, text) => {
  const packed = ask(pattern, { 'accept-encoding': 'br, gzip' })
  expect(packed.headers).toMatchObject({ 'Content-Encoding': 'gzip' })
  expect(gunzipSync(packed.body as Buffer).toString()).toBe(text)
  const plain = ask(pattern, {})
  expect(plain.headers).not.toHaveProperty('Content-Encoding')
  expect(String(plain.body)).toBe(text)
  const etag = plain.headers?.ETag ?? ''
  expect(ask(pattern, { 'if-none-match': etag })).toMatchObject({ status: 304, headers: { ETag: etag } })
})

test('the page of a screen names its scripts, so that they are asked for at once; any other page does not', () => {
  const named = (path: string) => String(ask('/console/*', {}, path).body)
  const pageWith = (script: string) => `<head><link rel="modulepreload" href="/console/assets/${script}">\n</head>`
  expect(named('/console/fleet')).toBe(pageWith('fleet-1.js'))
  expect(named('/console/fleet/')).toBe(pageWith('fleet-1.js'))
  expect(named('/console/fleet/pump-1')).toBe(pageWith('device-1.js'))
  expect(named('/console/live/pump-1')).toBe(pageWith('live-1.js'))
  for (const path of ['/console/', '/console/fleetx', '/console/constructor']) expect(named(path)).toBe(built.page)
})
