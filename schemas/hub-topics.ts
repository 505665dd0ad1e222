/** Topics of MQTT as the hub has them; the same words are the paths of its HTTP. */

/**
 * Where a device, or a module of it, sends telemetry: `devices/{device}[/modules/{module}]/messages/events`. Over MQTT a slash
 * follows, and behind it there may be a property bag.
 */
export function telemetryPath(deviceId: string, moduleId?: string): string {
  return `${ownerPath(deviceId, moduleId)}/messages/events`
}

/** `devices/{device}[/modules/{module}]` */
export function ownerPath(deviceId: string, moduleId?: string): string {
  return moduleId === undefined ? `devices/${deviceId}` : `devices/${deviceId}/modules/${moduleId}`
}

/** A request for the device's twin, or a patch of what it reports; the group is its request id. */
export const twinRequestPattern = /^\$iothub\/twin\/(?:GET|PATCH\/properties\/reported)\/\?\$rid=([^&#+]+)(?:&|$)/

/** Where the answer to a twin request goes. @param status as in HTTP */
export function twinAnswerTopic(status: number, requestId: string): string {
  return `$iothub/twin/res/${status}/?$rid=${requestId}`
}

/** By its default configuration a bridge of mosquitto publishes 1 to it once it is connected, and 0 by its will. */
export function isBridgeState(topic: string): boolean {
  return topic.startsWith('$SYS/broker/connection/') && topic.endsWith('/state')
}

/** Paths under which MQTT over WebSocket is served: the hub's own, and the usual one. */
export const webSocketPaths = ['/$iothub/websocket', '/mqtt'] as const
