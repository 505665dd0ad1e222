import { hostNamesOf } from '#control/control-settings.ts'
import { WebCallers } from '#runtime/http/web-callers.ts'
import { isLoopbackBind } from '#runtime/loopback.ts'
import type { Settings } from '#schemas/settings.ts'

/**
 * Whom a port refuses: web pages from elsewhere and, where only this machine reaches it, those who ask under another name. Beyond
 * loopback a program may call it by any name, and has to prove who it is.
 * @param bind address that the port listens on
 */
export function callersOf(settings: Settings, bind: string): WebCallers {
  return new WebCallers(hostNamesOf(settings), !isLoopbackBind(bind))
}
