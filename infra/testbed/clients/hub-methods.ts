/**
 * Direct methods by the hub's own SDKs for Node, unchanged: one of its services calls, one of its devices answers. Prints what came of each
 * call as JSON.
 *
 *   node hub-methods.ts mqtt|mqtt-ws|amqp|amqp-ws <connection string of a device> <connection string of a service>
 */
import hub from 'azure-iot-device'
import service from 'azure-iothub'
import { hubTransport } from './hub-transports.ts'

/** What whoever called got: the answer, or the hub's number of the fault. */
type Outcome = { readonly status: number; readonly payload: unknown } | { readonly errorCode: number }

type Call = { readonly methodName: string } & Partial<service.DeviceMethodParams>

function callerOf(connectionString: string): (deviceId: string, call: Call) => Promise<Outcome> {
  const client = service.Client.fromConnectionString(connectionString)
  return async (deviceId, call) => {
    try {
      const { result } = await client.invokeDeviceMethod(deviceId, { responseTimeoutInSeconds: 20, ...call })
      return { status: result.status, payload: result.payload }
    } catch (error) {
      const body = error instanceof Error && 'responseBody' in error ? String(error.responseBody) : '{}'
      return { errorCode: JSON.parse(JSON.parse(body).Message ?? '{}').errorCode }
    }
  }
}

async function openDevice(transport: string, connectionString: string): Promise<hub.Client> {
  const client = hub.Client.fromConnectionString(connectionString, hubTransport(transport))
  await client.open()
  client.onDeviceMethod('echo', (request, response) => void response.send(200, { echo: request.payload }))
  client.onDeviceMethod('sleep', () => {})
  return client
}

export async function callAll(transport: string, device: string, owner: string): Promise<Record<string, Outcome>> {
  const call = callerOf(owner)
  const deviceId = /DeviceId=([^;]+)/.exec(device)?.[1] ?? ''
  const echo = { methodName: 'echo', payload: { 'k é': [1, null, '"'] } }
  const before = await call(deviceId, echo)
  let client = await openDevice(transport, device)
  const answered = await call(deviceId, { ...echo, connectTimeoutInSeconds: 20 })
  const [silent, beside] = await Promise.all([
    call(deviceId, { methodName: 'sleep', responseTimeoutInSeconds: 5 }),
    call(deviceId, { methodName: 'echo' }),
  ])
  await client.close()
  const waited = call(deviceId, { ...echo, connectTimeoutInSeconds: 20 })
  client = await openDevice(transport, device)
  const reconnected = await waited
  await client.close()
  const unknown = await call('nobody-of-this-name', { ...echo, connectTimeoutInSeconds: 20 })
  return { before, answered, silent, beside, reconnected, unknown }
}

if (import.meta.main) {
  const [transport = '', device = '', owner = ''] = process.argv.slice(2)
  process.stdout.write(`${JSON.stringify(await callAll(transport, device, owner))}\n`)
  process.exit()
}
