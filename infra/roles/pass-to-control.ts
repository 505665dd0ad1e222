import { Agent, request as httpRequest, type IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { publicReason } from '#control/auth/admission.ts'
import { clientAddressHeader } from '#control/rest/client-address.ts'
import { faultAnswer } from '#control/rest/rest-errors.ts'
import type { Quotas } from '#ingest/quotas/quotas.ts'
import type { HttpRouter } from '#runtime/http.ts'
import { type HttpAnswer, textAnswer } from '#runtime/http-answer.ts'
import type { HttpRequest } from '#runtime/http-request.ts'
import { isLoopbackAddress } from '#runtime/loopback.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import type { ControlAddress } from './control-address.ts'
import { limitFailures } from './limit-failures.ts'

const connectionsMax = 32
const answerMsMax = 60_000
const hopHeaders = new Set(['connection', 'keep-alive', 'transfer-encoding', 'content-length', 'date', 'uwebsockets'])

/**
 * Passes every request that no other route takes to the control role, so that one port serves devices and services.
 * @param control finds the control role; where there is none such a request is answered 404, and 503 where it does not run for now
 * @param authority certificate that the control role's own is signed by; `undefined`: those that Node trusts
 * @param tls true if the server speaks TLS; without it credentials are passed on from this machine only: others have seen them
 *   already, and would see the keys in the answer
 * @param quotas count requests that the control role refused for their credentials, and keep off who fails too often
 */
export function passToControl(
  router: HttpRouter,
  control: Pick<ControlAddress, 'find'>,
  authority: string | undefined,
  quotas: Quotas,
  tls: boolean,
): void {
  const agentOptions = { keepAlive: true, maxSockets: connectionsMax }
  const agents = { plain: new Agent(agentOptions), tls: new HttpsAgent({ ...agentOptions, ca: authority }) }
  limitFailures(router, quotas, ({ remoteAddress }) => remoteAddress).route({
    method: 'ANY',
    pattern: '/*',
    bodyBytesMax: limits.httpBodyBytesMax,
    admit: (request) => (tls ? undefined : insecureAnswer(request)),
    handle: async (request, body) => {
      const found = await control.find()
      switch (found.kind) {
        case 'none':
          return textAnswer(404, 'nothing is served under this path\n')
        case 'away':
          return unavailableAnswer('the control role does not run\n', found.retryAfterMs)
        case 'at':
          return passed(isTls(found.url) ? agents.tls : agents.plain, found.url, request, body)
      }
    },
  })
}

function isTls(url: string): boolean {
  return url.startsWith('https:')
}

function unavailableAnswer(text: string, retryAfterMs: number): HttpAnswer {
  return textAnswer(503, text, { 'Retry-After': String(Math.ceil(retryAfterMs / 1_000)) })
}

function insecureAnswer(request: HttpRequest): HttpAnswer | undefined {
  if (request.header('authorization') === '' || isLoopbackAddress(request.remoteAddress)) return undefined
  const code = 'AUTH_TRANSPORT_INSECURE'
  return faultAnswer(new PenstockError(code, publicReason({ code })))
}

function passed(agent: Agent, controlUrl: string, request: HttpRequest, body: Uint8Array): Promise<HttpAnswer> {
  return new Promise((resolve) => {
    const unavailable = (): void => resolve(unavailableAnswer('the control role does not answer\n', 1_000))
    const query = request.queryText === '' ? '' : `?${request.queryText}`
    const headers = Object.fromEntries([...request.headers].filter(([name]) => !hopHeaders.has(name)))
    headers[clientAddressHeader] = request.remoteAddress
    const send = isTls(controlUrl) ? httpsRequest : httpRequest
    const passing = send(
      `${controlUrl}${request.path}${query}`,
      { agent, method: request.method, headers: { ...headers, 'content-length': body.length }, timeout: answerMsMax },
      (response) => read(response).then(resolve, unavailable),
    )
    passing.on('error', unavailable)
    passing.on('timeout', () => passing.destroy())
    passing.end(body)
  })
}

async function read(response: IncomingMessage): Promise<HttpAnswer> {
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk)
  const headers: Record<string, string> = {}
  for (const [name, value] of Object.entries(response.headers)) {
    if (!hopHeaders.has(name) && value !== undefined) headers[name] = Array.isArray(value) ? value.join(', ') : value
  }
  return { status: response.statusCode ?? 502, headers, body: Buffer.concat(chunks) }
}
