import { Agent, request as httpRequest, type IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { buffer } from 'node:stream/consumers'
import { clientAddressHeader } from '#control/rest/rest.ts'
import type { ServiceAnswer, ServiceRequest, ServiceRequests } from '#ingest/services/service-requests.ts'
import { PenstockError } from '#schemas/errors.ts'
import type { ControlAddress } from './control-address.ts'

/** Sends of many links wait here for one another. */
const connectionsMax = 32
const silenceMsMax = 30_000
/** Less than that after which the server behind closes. */
const idleMsMax = 5_000

/**
 * Asks the control role what services ask over AMQP, as `passToControl` passes on what they ask over HTTP.
 * @param authority certificate that the control role's own is signed by; `undefined`: those that Node trusts
 */
export function serviceRequests(control: Pick<ControlAddress, 'find'>, authority: string | undefined): ServiceRequests {
  const options = { keepAlive: true, maxSockets: connectionsMax, timeout: idleMsMax }
  const agents = { plain: new Agent(options), tls: new HttpsAgent({ ...options, ca: authority }) }
  return async (request) => {
    const found = await control.find()
    if (found.kind !== 'at') throw unavailable('the control role does not run')
    return asked(found.url, agents, request)
  }
}

function asked(
  url: string,
  agents: { readonly plain: Agent; readonly tls: HttpsAgent },
  { method, path, authorization, remoteAddress, body }: ServiceRequest,
): Promise<ServiceAnswer> {
  return new Promise((resolve, reject) => {
    const isTls = url.startsWith('https:')
    const headers = {
      authorization,
      [clientAddressHeader]: remoteAddress,
      ...(body === undefined ? {} : { 'content-type': 'application/json; charset=utf-8' }),
    }
    const [send, agent] = isTls ? [httpsRequest, agents.tls] : [httpRequest, agents.plain]
    const asking = send(`${url}${path}`, { agent, method, headers, timeout: silenceMsMax }, (response) =>
      answerOf(response).then(resolve, reject),
    )
    asking.on('error', (cause) => reject(unavailable('the control role does not answer', cause)))
    asking.on('timeout', () => asking.destroy(new Error('silence')))
    asking.end(body)
  })
}

async function answerOf(response: IncomingMessage): Promise<ServiceAnswer> {
  return { status: response.statusCode ?? 502, headers: response.headers, body: await buffer(response) }
}

function unavailable(text: string, cause?: unknown): PenstockError {
  return new PenstockError('AUTH_DIRECTORY_UNAVAILABLE', text, { cause })
}
