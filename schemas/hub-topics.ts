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

/**
 * What a device asks for on a topic. The groups are its request id, which comes first, and what follows it: of a patch of what it
 * reports the version that it builds on. A method's answer has the status before.
 */
export const twinReadPattern = /^\$iothub\/twin\/GET\/\?\$rid=([^&#+]+)(?:&|$)/
export const twinReportPattern =
  /^\$iothub\/twin\/PATCH\/properties\/reported\/\?\$rid=([^&#+]+)(?:&\$version=(\d{1,15}))?(?:&|$)/
export const methodAnswerPattern = /^\$iothub\/methods\/res\/(-?\d{1,10})\/\?\$rid=([^&#+]+)(?:&|$)/

/** What whoever registers asks for. The groups are its request id and, of a status, the operation. */
export const registerPattern = /^\$dps\/registrations\/PUT\/iotdps-register\/\?\$rid=([^&#+]+)(?:&|$)/
export const registrationStatusPattern =
  /^\$dps\/registrations\/GET\/iotdps-get-operationstatus\/\?\$rid=([^&#+]+)&operationId=([^&#+]+)(?:&|$)/

/** Its filter, and where the answer goes. The request id is first, and the only key with a dollar: one of the hub's clients splits there. */
export const registrationFilter = '$dps/registrations/res/#'
export function registrationTopic(status: number, requestId: string, retryAfterSeconds: number | undefined): string {
  const after = retryAfterSeconds === undefined ? '' : `&retry-after=${retryAfterSeconds}`
  return `$dps/registrations/res/${status}/?$rid=${requestId}${after}`
}

/** Where the answer to a twin request goes. @param status as in HTTP */
export function twinAnswerTopic(status: number, requestId: string, version?: number): string {
  return `$iothub/twin/res/${status}/?$rid=${requestId}${version === undefined ? '' : `&$version=${version}`}`
}

export function desiredTopic(version: number): string {
  return `$iothub/twin/PATCH/properties/desired/?$version=${version}`
}

export function methodTopic(name: string, requestId: string): string {
  return `$iothub/methods/POST/${name}/?$rid=${requestId}`
}

/** Where commands go: `devices/{device}[/modules/{module}]/messages/devicebound`, and behind a slash a property bag. */
export function commandPath(deviceId: string, moduleId?: string): string {
  return `${ownerPath(deviceId, moduleId)}/messages/devicebound`
}

/** The filters of the hub that are the same for all devices. */
export const methodFilter = '$iothub/methods/POST/#'
export const twinAnswerFilter = '$iothub/twin/res/#'
export const desiredFilter = '$iothub/twin/PATCH/properties/desired/#'

/** By its default configuration a bridge of mosquitto publishes 1 to it once it is connected, and 0 by its will. */
export function isBridgeState(topic: string): boolean {
  return topic.startsWith('$SYS/broker/connection/') && topic.endsWith('/state')
}

/** Paths under which MQTT over WebSocket is served: the hub's own, and the usual one. */
export const webSocketPaths = ['/$iothub/websocket', '/mqtt'] as const

/** The same for AMQP: devices and services of the hub, and readers of its events. */
export const amqpWebSocketPaths = ['/$iothub/websocket', '/$servicebus/websocket', '/$servicebus/websocket/'] as const
