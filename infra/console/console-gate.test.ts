import { describe, expect, test } from 'vitest'
import { parseSasToken } from '#control/auth/sas-token.ts'
import { rights } from '#control/rest/rights.ts'
import { unlimitedQuotas } from '#ingest/quotas/quota-settings.ts'
import { Quotas } from '#ingest/quotas/quotas.ts'
import type { HttpRequest } from '#runtime/http/request.ts'
import { Metrics } from '#runtime/metrics.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { type MetricName, metricsTable } from '#schemas/metrics.ts'
import { ConsoleGate, type ConsoleGateOptions } from './console-gate.ts'

const key = Buffer.alloc(32, 7).toString('base64')

function request(headers: Readonly<Record<string, string>>, remoteAddress = '127.0.0.1', method = 'GET'): HttpRequest {
  return { remoteAddress, method, header: (name: string) => headers[name] ?? '' } as HttpRequest
}

function gate(options: Partial<ConsoleGateOptions> = {}): ConsoleGate {
  const clock = virtualClock(1_000_000)
  const quotas = new Quotas(unlimitedQuotas, clock, new Metrics<MetricName>(metricsTable))
  return new ConsoleGate({
    hostName: 'hub',
    policyOf: async (authorization) =>
      authorization === '' ? { code: 'AUTH_CREDENTIALS_MISSING' } : { name: 'service', rights, expiresAtMs: undefined },
    ownerKey: () => key,
    quotas,
    clock,
    tls: false,
    ...options,
  })
}

const cookieIn = (header: string): string => header.split(';')[0] ?? ''

describe('what a request proves itself with', () => {
  test('its own header, whatever else it has', () => {
    const own = request({ authorization: 'own', 'x-penstock': '1', cookie: cookieIn(gate().cookieOf('kept')) })
    expect(gate().authorizationOf(own)).toBe('own')
  })

  test('the cookie, only beside the header that no page elsewhere can send', () => {
    const cookie = `other=1; ${cookieIn(gate().cookieOf('SharedAccessSignature sr=hub&sig=%2B'))}`
    expect(gate().authorizationOf(request({ cookie }))).toBe('')
    expect(gate().authorizationOf(request({ cookie, 'x-penstock': '1' }))).toBe('SharedAccessSignature sr=hub&sig=%2B')
  })

  test('the cookie, where the browser says that a page of the console led there, and only to read', () => {
    const cookie = cookieIn(gate().cookieOf('kept'))
    const asked = (site: string, method: string) =>
      gate().authorizationOf(request({ cookie, 'sec-fetch-site': site }, '127.0.0.1', method))
    expect(asked('same-origin', 'GET')).toBe('kept')
    for (const site of ['', 'none', 'same-site', 'cross-site']) expect(asked(site, 'GET'), site).toBe('')
    for (const method of ['POST', 'PUT', 'DELETE']) expect(asked('same-origin', method), method).toBe('')
  })

  test('no cookie that could be no header', () => {
    for (const token of ['Küche', 'a\r\nb', '\0']) {
      const cookie = cookieIn(gate().cookieOf(token))
      expect(gate().authorizationOf(request({ cookie, 'x-penstock': '1' }))).toBe('')
    }
  })

  test('over TLS a cookie that only this host could have set, and that is never sent without TLS', () => {
    const header = gate({ tls: true }).cookieOf('kept')
    expect(header).toMatch(/^__Host-penstock=[\w-]+; Path=\/; Max-Age=28800; HttpOnly; SameSite=Strict; Secure$/)
    const plain = cookieIn(gate().cookieOf('kept'))
    expect(gate({ tls: true }).authorizationOf(request({ cookie: plain, 'x-penstock': '1' }))).toBe('')
  })

  test('where identities are not asked for, the owner on this machine, and nobody elsewhere', () => {
    const open = gate({ policyOf: undefined })
    const token = parseSasToken(open.authorizationOf(request({ 'x-penstock': '1' })))
    expect(token?.policyName).toBe('iothubowner')
    expect(open.authorizationOf(request({}))).toBe('')
    expect(open.authorizationOf(request({ 'x-penstock': '1' }, '10.0.0.9'))).toBe('')
  })
})

describe('the owner alone', () => {
  test('looks at the tail; another policy is refused, as is whoever proves nothing', async () => {
    const asOther = await gate().admitOwner(request({ authorization: 'some token' }))
    expect(asOther?.status).toBe(401)
    expect((await gate().admitOwner(request({})))?.status).toBe(401)
    const policyOf = async () => ({ name: 'iothubowner', rights, expiresAtMs: undefined })
    expect(await gate({ policyOf }).admitOwner(request({ authorization: 'some token' }))).toBeUndefined()
  })

  test('is whoever is on this machine where identities are not asked for', async () => {
    const open = gate({ policyOf: undefined })
    expect(await open.admitOwner(request({ 'x-penstock': '1' }))).toBeUndefined()
    expect((await open.admitOwner(request({ 'x-penstock': '1' }, '10.0.0.9')))?.status).toBe(401)
    expect((await open.admitOwner(request({})))?.status).toBe(401)
  })
})
