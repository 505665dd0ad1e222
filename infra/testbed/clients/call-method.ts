/**
 * Calls a direct method by the hub's own service SDK for Node, unchanged, as often as told, and prints the answers as JSON.
 *
 *   node call-method.ts <connection string of a service> <device id> <count>
 */
import service from 'azure-iothub'

const [connectionString = '', deviceId = '', count = '1'] = process.argv.slice(2)
const client = service.Client.fromConnectionString(connectionString)
const answers: unknown[] = []
for (let index = 0; index < Number(count); index++) {
  const call = { methodName: 'echo', payload: index, connectTimeoutInSeconds: 30, responseTimeoutInSeconds: 20 }
  const { result } = await client.invokeDeviceMethod(deviceId, call)
  answers.push({ status: result.status, payload: result.payload })
}
process.stdout.write(`${JSON.stringify(answers)}\n`)
process.exit()
