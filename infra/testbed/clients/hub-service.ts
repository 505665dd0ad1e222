/**
 * The hub's own service SDK for Node over AMQP, unchanged.
 *
 *   node hub-service.ts amqp|amqp-ws <connection string of a policy> send                 commands from standard input; prints what became of each
 *   node hub-service.ts amqp|amqp-ws <connection string of a policy> feedback|files <n>   prints so many records, each as a line of JSON
 */
import { text } from 'node:stream/consumers'
// CommonJS: only whole modules can be imported.
import hub from 'azure-iot-device'
import service from 'azure-iothub'
import overAmqp from 'azure-iothub/dist/amqp.js'
import overAmqpWs from 'azure-iothub/dist/amqp_ws.js'

/** What is sent to a device. */
export interface ClientCommand {
  readonly deviceId: string
  readonly body: string
  readonly messageId: string
  readonly ack?: string
  readonly properties?: Readonly<Record<string, string>>
}

const [transport = '', connectionString = '', what = '', count = '0'] = process.argv.slice(2)
const client = service.Client.fromConnectionString(
  connectionString,
  transport === 'amqp-ws' ? overAmqpWs.AmqpWs : overAmqp.Amqp,
)
await client.open()
if (what === 'send') await send(JSON.parse(await text(process.stdin)))
else await receive(Number(count))
await client.close()
process.exit()

async function send(commands: readonly ClientCommand[]): Promise<void> {
  const outcomes: string[] = []
  for (const { deviceId, body, messageId, ack, properties = {} } of commands) {
    const message = new hub.Message(body)
    Object.assign(message, { messageId, ack: ack ?? 'none' })
    for (const [name, value] of Object.entries(properties)) message.properties.add(name, value)
    const error = await client.send(deviceId, message).then(
      () => undefined,
      (reason: unknown) => reason,
    )
    outcomes.push(error instanceof Error ? error.name : 'accepted')
  }
  process.stdout.write(JSON.stringify(outcomes))
}

async function receive(wanted: number): Promise<void> {
  const { result: receiver } =
    what === 'files' ? await client.getFileNotificationReceiver() : await client.getFeedbackReceiver()
  let received = 0
  await new Promise<void>((resolve, reject) => {
    receiver.on('errorReceived', reject)
    receiver.on('message', (message: { readonly data: Buffer | string }) => {
      const told: unknown = JSON.parse(String(message.data))
      const records = Array.isArray(told) ? told : [told]
      for (const record of records) process.stdout.write(`${JSON.stringify(record)}\n`)
      received += records.length
      receiver.complete(message as never, (error?: Error) => {
        if (error) reject(error)
        else if (received >= wanted) resolve()
      })
    })
  })
}
