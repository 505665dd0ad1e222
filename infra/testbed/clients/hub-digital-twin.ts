/**
 * The digital twin of a device by the hub's own service SDK for Node, unchanged: changes it, reads it, and calls the device, which is not there.
 * Prints what came of each as JSON.
 *
 *   node hub-digital-twin.ts <connection string of a service> <device>
 */
import service from 'azure-iothub'

const [connectionString = '', id = ''] = process.argv.slice(2)
const client = new service.DigitalTwinClient(new service.IoTHubTokenCredentials(connectionString))
await client.updateDigitalTwin(id, [{ op: 'add', path: '/lamp', value: { on: true, $metadata: {} } }])
const read = await client.getDigitalTwin(id)
const called = await client.invokeComponentCommand(id, 'lamp', 'blink', 'fast').then(
  () => 200,
  (error: { readonly statusCode?: number }) => error.statusCode,
)
const twin: unknown = JSON.parse(read?._response.bodyAsText ?? 'null')
process.stdout.write(`${JSON.stringify({ twin, called })}\n`)
