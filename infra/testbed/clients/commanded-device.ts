/**
 * The hub's own device SDK for Node, unchanged, as a device that gets commands: prints a line of JSON for each (`ReceivedCommand`), and
 * ends after so many.
 *
 *   node commanded-device.ts mqtt|mqtt-ws|amqp|amqp-ws|http <connection string> <count> [complete|reject]
 */
// CommonJS: only the whole module can be imported.
import hub from 'azure-iot-device'
import { hubTransport } from './hub-transports.ts'

export interface ReceivedCommand {
  readonly body: string
  readonly messageId: string
  readonly correlationId: string | null
  readonly contentType: string | null
  readonly properties: Readonly<Record<string, string>>
}

function receive(transport: string, connectionString: string, count: number, isRejecting: boolean): Promise<void> {
  const client = hub.Client.fromConnectionString(connectionString, hubTransport(transport))
  return new Promise((resolve, reject) => {
    let received = 0
    const settled = (error?: Error): void => {
      if (error) reject(error)
      else if (++received === count) void client.close().then(() => resolve(), reject)
    }
    client.on('error', reject)
    client.on('message', (message: hub.Message) => {
      process.stdout.write(`${JSON.stringify(commandOf(message))}\n`)
      if (isRejecting) client.reject(message, settled)
      else client.complete(message, settled)
    })
    client.open().catch(reject)
  })
}

function commandOf(message: hub.Message): ReceivedCommand {
  const properties: Record<string, string> = {}
  for (let index = 0; index < message.properties.count(); index++) {
    const { key, value } = message.properties.getItem(index)
    properties[key] = value
  }
  return {
    body: message.getBytes().toString(),
    messageId: message.messageId,
    correlationId: message.correlationId ?? null,
    contentType: message.contentType ?? null,
    properties,
  }
}

if (import.meta.main) {
  const [transport = '', connectionString = '', count = '', settlement] = process.argv.slice(2)
  try {
    await receive(transport, connectionString, Number(count), settlement === 'reject')
  } catch (error) {
    process.stdout.write(`${error instanceof Error ? error.name : String(error)}\n`)
    process.exitCode = 1
  }
  process.exit()
}
