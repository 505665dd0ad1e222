import { isLoopbackBind } from '#runtime/loopback.ts'
import { WebCallers } from '#runtime/web-callers.ts'
import type { Settings } from '#schemas/settings.ts'

/**
 * Whom a port refuses: where only this machine reaches it, web pages that its browser shows. Beyond loopback anyone may ask, under any
 * name, and has to prove who it is.
 * @param bind address that the port listens on
 * @param ownPagesOnly see `WebCallers`
 */
export function callersOf(settings: Settings, bind: string, ownPagesOnly: boolean): WebCallers | undefined {
  return isLoopbackBind(bind) ? new WebCallers(settings.hostname.split(','), ownPagesOnly) : undefined
}
