import { classicAnswer, faultAnswer } from '#control/rest/rest.ts'
import { type HttpAnswer, jsonAnswer } from '#runtime/http/answer.ts'
import type { HttpRouter } from '#runtime/http/serving.ts'
import { aText, recordOf } from '#runtime/json-check.ts'
import { hubFaultOf } from '#schemas/hub-faults.ts'
import type { ConsoleGate, ProvenPolicy } from './console-gate.ts'

/** Where the installation is that serves the console, for what the console shows and writes down. */
export interface Place {
  /** Of the hub. */
  readonly hostName: string
  /** The address that ports are bound to, as a URL has it. */
  readonly host: string
  readonly ports: Readonly<Record<string, number>>
  readonly version: string
}

const loginBytesMax = 4_096
const login = recordOf<{ readonly policy: string; readonly key: string }>({ policy: aText, key: aText })

/**
 * `GET /console/session`: who the console's user is, and where; 204 if nobody has logged in. `POST` with a policy and its key logs in,
 * `DELETE` out.
 */
export function routeSession(router: HttpRouter, gate: ConsoleGate, place: () => Place): void {
  const pattern = '/console/session'
  const answered = (policy: ProvenPolicy, headers: Readonly<Record<string, string>> = {}): HttpAnswer =>
    jsonAnswer(
      200,
      {
        policy: policy.name,
        rights: policy.rights,
        ...(policy.expiresAtMs === undefined ? {} : { expiresAt: new Date(policy.expiresAtMs).toISOString() }),
        isOpen: gate.isOpen,
        ...place(),
      },
      headers,
    )
  router.route({
    method: 'GET',
    pattern,
    faultAnswer,
    handle: async (request) => {
      try {
        return answered(await gate.policyOf(request))
      } catch (error) {
        if (hubFaultOf(error).status !== 401) throw error
        return { status: 204, headers: { 'Cache-Control': 'no-store' } }
      }
    },
  })
  router.route({
    method: 'POST',
    pattern,
    bodyBytesMax: loginBytesMax,
    admit: refuseOtherPages,
    faultAnswer,
    handle: async (request, body) => {
      const given = credentialsIn(body)
      if (given === undefined)
        return classicAnswer({ status: 400, name: 'ArgumentInvalid' }, 'a login has a policy and its key')
      const token = gate.signed(given.policy, given.key)
      return answered(await gate.prove(request, token), { 'Set-Cookie': gate.cookieOf(token) })
    },
  })
  router.route({
    method: 'DELETE',
    pattern,
    admit: refuseOtherPages,
    handle: () => ({ status: 204, headers: { 'Set-Cookie': gate.cookieOf('') } }),
  })
}

/** A page of another origin can neither log a browser in nor out. */
function refuseOtherPages(request: { header(name: string): string }): HttpAnswer | undefined {
  if (request.header('x-penstock') === '1') return undefined
  return classicAnswer({ status: 400, name: 'ArgumentInvalid' }, 'the header X-Penstock: 1 is missing')
}

function credentialsIn(body: Buffer): { readonly policy: string; readonly key: string } | undefined {
  try {
    return login(JSON.parse(body.toString()))
  } catch {
    return undefined
  }
}
