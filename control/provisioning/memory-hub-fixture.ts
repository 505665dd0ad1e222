/** For tests: linked hubs without a network, which count their devices. */
import { randomUUID } from 'node:crypto'
import { PenstockError } from '#schemas/errors.ts'
import { type OutgoingAnswer, type OutgoingRequest, OutgoingRequests } from './outgoing-requests.ts'

interface HubDevice {
  readonly document: object
  /** Another hub may give its devices the same ones. */
  readonly etag: string
  readonly generationId: string
  readonly twin: object
}

/** The registry and the twins of a hub, as its REST interface has them. */
export class MemoryHub {
  readonly devices = new Map<string, HubDevice>()
  /** `away`: nothing reaches it. `mute`: what reaches it is done, and no answer comes back. */
  reach: 'here' | 'away' | 'mute' = 'here'
  /** Of each request to write a twin. */
  twinStatus = 200
  #etags = 0

  ask(request: OutgoingRequest): OutgoingAnswer {
    if (this.reach === 'away') throw unreachable()
    const answer = this.#answer(request)
    if (this.reach === 'mute') throw unreachable()
    return answer
  }

  put(deviceId: string, document: object, twin: object = {}): OutgoingAnswer {
    const etag = `m${++this.#etags}`
    const generationId = this.devices.get(deviceId)?.generationId ?? randomUUID()
    this.devices.set(deviceId, { document, etag, generationId, twin })
    return { status: 200, body: { ...document, etag } }
  }

  #answer({ method, url, headers, body = {} }: OutgoingRequest): OutgoingAnswer {
    const [, collection, deviceId = ''] = url.pathname.split('/')
    const there = this.devices.get(deviceId)
    const ifMatch = headers?.['If-Match']?.replaceAll('"', '')
    if (method === 'PUT' && ifMatch === undefined)
      return there === undefined ? this.put(deviceId, body as object) : { status: 409, body: {} }
    if (there === undefined) return { status: 404, body: {} }
    if (collection === 'twins') {
      if (method === 'PATCH' && this.twinStatus !== 200) return { status: this.twinStatus, body: {} }
      if (method === 'PATCH') this.devices.set(deviceId, { ...there, twin: { ...there.twin, ...(body as object) } })
      return { status: 200, body: this.devices.get(deviceId)?.twin }
    }
    if (ifMatch !== undefined && ifMatch !== '*' && ifMatch !== there.etag) return { status: 412, body: {} }
    if (method === 'GET')
      return { status: 200, body: { ...there.document, etag: there.etag, generationId: there.generationId } }
    if (method === 'PUT') return this.put(deviceId, body as object, there.twin)
    this.devices.delete(deviceId)
    return { status: 204, body: undefined }
  }
}

/** Requests to these hubs, by their host names. @param step called around each */
export function outgoingTo<Name extends string>(
  hubs: Readonly<Record<Name, MemoryHub>>,
  step: <T>(work: () => T | Promise<T>, isRead: boolean, hub: Name) => Promise<T>,
): OutgoingRequests {
  const outgoing = new OutgoingRequests({ ownPorts: [], allowed: [] })
  outgoing.send = (request) => {
    // No other host is named to it.
    const name = request.url.host as Name
    return step(() => hubs[name].ask(request), request.method === 'GET', name)
  }
  return outgoing
}

function unreachable(): PenstockError {
  return new PenstockError('PROVISIONING_UNREACHABLE', 'away')
}
