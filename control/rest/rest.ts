/** What everyone who serves the hub's REST API, or passes requests on to it, needs: faults as it tells them, and whose request it is. */
import { randomUUID } from 'node:crypto'
import { isIP } from 'node:net'
import { aText, named, recordOf, type Shape } from '#runtime/api/shapes.ts'
import { type AnswerTold, json } from '#runtime/api/told.ts'
import { type HttpAnswer, jsonAnswer } from '#runtime/http/answer.ts'
import type { HttpRequest } from '#runtime/http/request.ts'
import { isLoopbackAddress } from '#runtime/loopback.ts'
import { type ErrorCode, PenstockError } from '#schemas/errors.ts'
import { type HubFault, hubFaultOf } from '#schemas/hub-faults.ts'

/** A fault of the registry; what is not an expected fault is told without its text. */
export function faultAnswer(error: unknown): HttpAnswer {
  const fault = hubFaultOf(error)
  return classicAnswer(fault, textOf(error, fault))
}

/** The same in the newer form, in which clients find the number: the text of the message is JSON itself. */
export function numberedFaultAnswer(error: unknown): HttpAnswer {
  const fault = hubFaultOf(error)
  const { status, name, number } = fault
  const message = {
    errorCode: number,
    trackingId: randomUUID(),
    message: textOf(error, fault),
    timestampUtc: new Date().toISOString(),
  }
  return jsonAnswer(
    status,
    { Message: JSON.stringify(message), ExceptionMessage: '' },
    { 'iothub-errorcode': name, ...retryAfter(status === 503 || status === 429 ? 1 : 0) },
  )
}

function textOf(error: unknown, { status }: HubFault): string {
  return error instanceof PenstockError && status !== 500 ? error.message : 'the request could not be carried out'
}

function retryAfter(seconds: number): Record<string, string> {
  return seconds > 0 ? { 'Retry-After': String(seconds) } : {}
}

/**
 * The classic error body: clients split `Message` at `;` and `:` to find the name, and read the body as JSON only with this
 * content type.
 * @param retryAfterSeconds `undefined`: a moment where the service is unavailable, else nothing is said
 */
export function classicAnswer(
  { status, name }: Pick<HubFault, 'status' | 'name'>,
  text: string,
  retryAfterSeconds = status === 503 ? 1 : 0,
): HttpAnswer {
  const tracking = `Tracking ID:${randomUUID()}-TimeStamp:${new Date().toISOString()}-G:0`
  return jsonAnswer(
    status,
    { Message: `ErrorCode:${name};${text}`, ExceptionMessage: tracking },
    { 'iothub-errorcode': name, ...retryAfter(retryAfterSeconds) },
  )
}

/** The body of every fault, as clients of the hub read it. */
const faultShape = named('Fault', recordOf({ Message: aText, ExceptionMessage: aText }))

/** By status, with the names by which clients tell them apart. @param ownShape of who tells faults in a form of its own */
export function faultsTold(codes: readonly ErrorCode[], ownShape?: Shape): Record<number, AnswerTold> {
  const names = new Map<number, Set<string>>()
  for (const code of codes) {
    const { status, name } = hubFaultOf(new PenstockError(code, ''))
    names.set(status, (names.get(status) ?? new Set()).add(name))
  }
  return Object.fromEntries([...names].map(([status, own]) => [status, faultTold([...own], ownShape)]))
}

export function faultTold(names: readonly string[], ownShape?: Shape): AnswerTold {
  const shape = ownShape ?? faultShape
  return {
    title: `${shape.title}${names.join('')}`,
    description: names.join(', '),
    body: json(shape),
    ...(ownShape === undefined && { headers: { 'iothub-errorcode': 'the name of the fault' } }),
  }
}

/** The header in which an edge tells the control role whose request it passes on. An edge replaces what a client sends under this name. */
export const clientAddressHeader = 'x-penstock-client-address'

/** The address of the client that made the request. The header counts from this machine only: anyone can send a header. */
export function clientAddressOf(request: HttpRequest): string {
  const told = request.header(clientAddressHeader)
  return isLoopbackAddress(request.remoteAddress) && isIP(told) !== 0 ? told : request.remoteAddress
}
