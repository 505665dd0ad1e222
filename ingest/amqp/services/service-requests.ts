/** A request to the service API of the hub, as any service sends it over HTTP. */
export interface ServiceRequest {
  readonly method: 'GET' | 'POST' | 'DELETE'
  readonly path: string
  /** The token of the service for which it is asked. */
  readonly authorization: string
  /** Of the service, for the audit. */
  readonly remoteAddress: string
  readonly contentType?: string
  readonly body?: Uint8Array
}

export interface ServiceAnswer {
  readonly status: number
  /** The header `ETag`, without its quotes; empty if there is none. */
  readonly etag: string
  readonly body: Buffer
}

/**
 * Asks the service API. What services do over AMQP is what they do over HTTP: one implementation decides, audits and answers.
 * Rejects with AUTH_DIRECTORY_UNAVAILABLE where nobody answers.
 */
export type ServiceRequests = (request: ServiceRequest) => Promise<ServiceAnswer>
