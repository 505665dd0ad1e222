/**
 * The hub's own device SDK for Node, unchanged. Sends the messages of standard input (JSON: `ClientMessage[]`), those of HTTP in one
 * batch but for the first; prints `sent`, or the name of the SDK's error.
 *
 *   node hub-device.ts mqtt|mqtt-ws|amqp|amqp-ws|http <connection string> [<certificate file> <key file>]
 */
import { readFileSync } from 'node:fs'
// CommonJS: only the whole module can be imported.
import hub from 'azure-iot-device'
import { hubTransport } from './hub-transports.ts'

export interface ClientMessage {
  readonly body: string
  readonly messageId: string
  readonly correlationId: string
  readonly contentType: 'application/json'
  readonly contentEncoding: 'utf-8'
  readonly properties: Readonly<Record<string, string>>
}

async function send(transport: string, connectionString: string, certFile?: string, keyFile?: string): Promise<void> {
  const wanted: readonly ClientMessage[] = JSON.parse(readFileSync(0, 'utf8'))
  const client = hub.Client.fromConnectionString(connectionString, hubTransport(transport))
  if (certFile !== undefined && keyFile !== undefined) {
    const taken = client.setOptions({ cert: readFileSync(certFile, 'utf8'), key: readFileSync(keyFile, 'utf8') })
    // Over HTTP the SDK takes a certificate at once, and never says that it has.
    if (transport !== 'http') await taken
  }
  await client.open()
  const [first, ...rest] = wanted.map(messageOf)
  if (first) await client.sendEvent(first)
  if (transport === 'http' && rest.length > 0) await client.sendEventBatch(rest)
  else for (const message of rest) await client.sendEvent(message)
  await client.close()
}

function messageOf(wanted: ClientMessage): hub.Message {
  const message = new hub.Message(wanted.body)
  message.messageId = wanted.messageId
  message.correlationId = wanted.correlationId
  message.contentType = wanted.contentType
  message.contentEncoding = wanted.contentEncoding
  for (const [key, value] of Object.entries(wanted.properties)) message.properties.add(key, value)
  return message
}

if (import.meta.main) {
  const [transport = '', connectionString = '', certFile, keyFile] = process.argv.slice(2)
  try {
    await send(transport, connectionString, certFile, keyFile)
    process.stdout.write('sent\n')
  } catch (error) {
    process.stdout.write(`${error instanceof Error ? error.name : String(error)}\n`)
    process.exitCode = 1
  }
  process.exit()
}
