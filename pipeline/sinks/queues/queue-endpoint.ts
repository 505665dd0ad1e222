/**
 * An endpoint over one connection, which all partitions share. It is opened when it is needed, and only then opened again: when to try is
 * for the worker to decide, so the libraries' own reconnecting and their offline queues stay off.
 */
import type { Endpoint, EndpointRequest, RequestOutcome } from '#pipeline/endpoints/endpoint.ts'
import { EndpointError, unavailable } from '#pipeline/endpoints/endpoint-error.ts'
import type { SelectedMessage } from '#pipeline/endpoints/selected-range.ts'
import { assert } from '#runtime/assert.ts'
import { type MessageOutcome, sendInWindow } from './send-window.ts'

/** A connection to a broker, as the adapter of its library gives it. */
export interface QueueConnection {
  /** False once it is of no use any more. */
  readonly isOpen: boolean
  /** Sends begin in the order in which this is called. */
  send(message: SelectedMessage): Promise<MessageOutcome>
  /** Ends it at once; what is under way is answered `retry`. */
  end(): void
}

export interface QueueEndpointOptions {
  readonly name: string
  readonly settings: { readonly messagesMax: number; readonly windowMessages: number; readonly timeoutMs: number }
  /**
   * Opens a connection, within the settings' `timeoutMs`.
   * @throws EndpointError
   */
  readonly open: () => Promise<QueueConnection>
}

export class QueueEndpoint implements Endpoint {
  readonly atomic = false
  readonly name: string
  readonly requestMessagesMax: number
  readonly requestBytesMax = 1_048_576
  readonly requestsAtOnceMax = 4
  readonly requestMsMax: number
  readonly #options: QueueEndpointOptions
  #connection: QueueConnection | undefined
  #opening: Promise<QueueConnection> | undefined
  readonly #closing = new AbortController()

  constructor(options: QueueEndpointOptions) {
    const { name, settings } = options
    this.name = name
    this.requestMessagesMax = settings.messagesMax
    this.requestMsMax = settings.timeoutMs
    this.#options = options
  }

  async deliver({ messages }: EndpointRequest, ended: AbortSignal): Promise<RequestOutcome> {
    const { windowMessages, timeoutMs } = this.#options.settings
    const late = AbortSignal.timeout(timeoutMs)
    const given = abortOf(AbortSignal.any([ended, late, this.#closing.signal]))
    try {
      const connection = await Promise.race([this.#connected(), given.aborted])
      if (connection === undefined) return { kind: 'retry', error: unansweredIn(timeoutMs) }
      const send = (message: SelectedMessage): Promise<MessageOutcome> =>
        Promise.race([
          connection.send(message),
          given.aborted.then((): MessageOutcome => ({ kind: 'retry', error: unansweredIn(timeoutMs) })),
        ])
      const outcome = await sendInWindow(messages, windowMessages, send)
      // What does not answer in time may not do so for long.
      if (late.aborted) connection.end()
      return outcome
    } catch (error) {
      if (!(error instanceof EndpointError)) throw error
      return { kind: error.code === 'ENDPOINT_HELD' ? 'held' : 'retry', error }
    } finally {
      given.forget()
    }
  }

  /** True if there is a connection, or can be one, or nobody answers. */
  async accepts(): Promise<boolean> {
    try {
      await this.#connected()
      return true
    } catch (error) {
      return !(error instanceof EndpointError && error.code === 'ENDPOINT_HELD')
    }
  }

  async close(): Promise<void> {
    this.#closing.abort()
    this.#connection?.end()
  }

  async #connected(): Promise<QueueConnection> {
    if (this.#closing.signal.aborted) throw unavailable('the endpoint is closed', 'Transient')
    if (this.#connection?.isOpen) return this.#connection
    this.#opening ??= this.#open().finally(() => {
      this.#opening = undefined
    })
    return await this.#opening
  }

  async #open(): Promise<QueueConnection> {
    const connection = await this.#options.open()
    assert(this.#connection?.isOpen !== true, 'a connection is opened once the one before is of no use')
    if (this.#closing.signal.aborted) connection.end()
    this.#connection = connection
    return connection
  }
}

const unansweredIn = (timeoutMs: number): EndpointError =>
  unavailable(`the server did not answer within ${timeoutMs} ms`, 'Timeout')

/** A promise of the abort, and a way to let go of the signal, which may live for much longer. */
function abortOf(signal: AbortSignal): { readonly aborted: Promise<undefined>; readonly forget: () => void } {
  let forget = (): void => {}
  const aborted = new Promise<undefined>((resolve) => {
    const tell = (): void => resolve(undefined)
    if (signal.aborted) tell()
    signal.addEventListener('abort', tell, { once: true })
    forget = () => signal.removeEventListener('abort', tell)
  })
  return { aborted, forget }
}
