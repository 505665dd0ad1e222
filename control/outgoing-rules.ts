import type { OutgoingRules } from '#runtime/outgoing-addresses.ts'
import type { Settings } from '#schemas/settings.ts'

/** What endpoints, and functions that choose hubs, may not reach, and what they may all the same. */
export function outgoingRulesOf(settings: Settings): OutgoingRules {
  const { mqttPort, mqttsPort, amqpsPort, httpPort, httpsPort, clickhousePort } = settings
  return {
    ownPorts: [mqttPort, mqttsPort, amqpsPort, httpPort, httpsPort, clickhousePort].filter((port) => port !== 0),
    allowed: listOf(settings.endpointsAllowed),
  }
}

export function listOf(separatedByCommas: string | undefined): readonly string[] {
  return (separatedByCommas ?? '')
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
}
