/** Digital twin model identifier: `dtmi:com:example:Thermostat;1`, at most 128 characters [DTDL v2, "Digital Twin Model Identifier"]. */
const pattern = /^dtmi:[A-Za-z](?:\w*[A-Za-z0-9])?(?::[A-Za-z](?:\w*[A-Za-z0-9])?)*;[1-9][0-9]{0,8}$/
const lengthMax = 128

/**
 * The model that a client announces: in the query of its user name, as clients of the hub do (`…/?api-version=…&model-id=…`), or as the
 * user property `model-id` of MQTT 5.0. `undefined`: none, or what is no name of a model; it is let in all the same.
 */
export function modelIdOf(
  username: string | undefined,
  userProperties: ReadonlyMap<string, string> | undefined,
): string | undefined {
  const [, query = ''] = /\?(.*)$/s.exec(username ?? '') ?? []
  const id = userProperties?.get('model-id') ?? new URLSearchParams(query).get('model-id')
  return id != null && id.length <= lengthMax && pattern.test(id) ? id : undefined
}
