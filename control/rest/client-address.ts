import { isIP } from 'node:net'
import type { HttpRequest } from '#runtime/http/request.ts'
import { isLoopbackAddress } from '#runtime/loopback.ts'

/** In which an edge tells the control role whose request it passes on; what a client itself sends under this name never arrives. */
export const clientAddressHeader = 'x-penstock-client-address'

/** The address of whoever made the request. An edge is believed on this machine only: anyone can send a header. */
export function clientAddressOf(request: HttpRequest): string {
  const told = request.header(clientAddressHeader)
  return isLoopbackAddress(request.remoteAddress) && isIP(told) !== 0 ? told : request.remoteAddress
}
