import { describe, expect, test } from 'vitest'
import { systemClock } from '#runtime/clock.ts'
import type { HttpRequest } from '#runtime/http/request.ts'
import type { AnyRoute } from '#runtime/http/serving.ts'
import { silentLogger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import { metricsTable } from '#schemas/metrics.ts'
import { ownerPolicyName, type Right, rights } from './rest/rights.ts'
import { registerServiceRoutes, type Services } from './service-routes.ts'

/** What reaches devices, or speaks of them, needs one of these rights; whatever is not listed here needs some right, too. */
const wanted: readonly (readonly [operations: RegExp, needed: readonly Right[]])[] = [
  [/^GET \/twins\//, ['RegistryRead', 'ServiceConnect']],
  [/^(PATCH|PUT|POST|DELETE) \/twins\//, ['ServiceConnect']],
  [/\/methods$/, ['ServiceConnect']],
  [/\/messages\/deviceBound$/i, ['ServiceConnect']],
  [/\/messages\/serviceBound\//i, ['ServiceConnect']],
  [/^DELETE \/devices\/.*\/commands$/, ['ServiceConnect']],
  [/ \/api\/commands\//, ['ServiceConnect']],
]

/** Which rights each operation lets in, by method and pattern; a policy has one right here. Nothing is carried out. */
function rightsOfOperations(): Map<string, readonly Right[]> {
  const routes: AnyRoute[] = []
  let held: Right | undefined
  const gate = {
    admit: (_authorization: string, right: Right) =>
      right === held
        ? { policy: { name: ownerPolicyName } }
        : ({ admitted: false, code: 'AUTH_RIGHT_MISSING', reason: 'another right' } as const),
    publicReason: () => 'another right',
  }
  const nothing = new Proxy({}, { get: () => ({}) })
  const services = { registry: nothing, routing: nothing, downlink: nothing, hubName: 'h', identitiesRequired: true }
  registerServiceRoutes(
    { route: (route) => routes.push(route), upgrade: () => {} },
    services as unknown as Services,
    () => Promise.reject(new Error('not asked')),
    {
      gate,
      metrics: new Metrics(metricsTable),
      audit: silentLogger,
      recorder: { add: () => {} },
      logger: silentLogger,
      clock: systemClock,
      tls: false,
    },
  )
  const request = { header: () => '', path: '/', method: 'GET', remoteAddress: '127.0.0.1' } as unknown as HttpRequest
  const isOpenTo = (route: AnyRoute, right: Right): boolean => {
    held = right
    return 'admit' in route && route.admit?.(request) === undefined
  }
  return new Map(
    routes
      // What is served nowhere is told so to everybody.
      .filter(({ pattern }) => pattern !== '/*')
      .map((route) => [`${route.method} ${route.pattern}`, rights.filter((right) => isOpenTo(route, right))]),
  )
}

describe('each operation of the service API', () => {
  const operations = rightsOfOperations()

  test('asks for a right, and never for a device’s own', () => {
    expect(operations.size).toBeGreaterThan(40)
    for (const [name, open] of operations) {
      expect(open, name).not.toEqual([])
      expect(open, name).not.toContain('DeviceConnect')
    }
  })

  test.each(wanted)('%s is for who has one of %j, and for nobody else', (pattern, needed) => {
    const own = [...operations].filter(([name]) => pattern.test(name))
    expect(own.length).toBeGreaterThan(0)
    expect(own).toEqual(own.map(([name]) => [name, needed]))
  })
})
