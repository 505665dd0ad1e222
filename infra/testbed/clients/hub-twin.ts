/**
 * The twin of the hub's own device SDK for Node, unchanged. Reads it, listens to its desired properties, reports the patches of standard
 * input (JSON: a list) one after the other without waiting, and ends once a desired property `last` is true. Prints a line of JSON a step.
 *
 *   node hub-twin.ts mqtt|mqtt-ws|amqp|amqp-ws <connection string>
 */
import { readFileSync } from 'node:fs'
// CommonJS: only the whole module can be imported.
import hub from 'azure-iot-device'
import { hubTransport } from './hub-transports.ts'

async function follow(transport: string, connectionString: string): Promise<void> {
  const patches: readonly object[] = JSON.parse(readFileSync(0, 'utf8'))
  const client = hub.Client.fromConnectionString(connectionString, hubTransport(transport))
  await client.open()
  const twin = await client.getTwin()
  say('read', { desired: twin.properties.desired, reported: twin.properties.reported })
  const isOver = new Promise<void>((resolve) => {
    twin.on('properties.desired', (desired: object) => {
      say('desired', desired)
      if ('last' in desired && desired.last === true) resolve()
    })
  })
  for (const outcome of await Promise.allSettled(patches.map((patch) => reported(twin, patch))))
    say('reported', outcome.status === 'fulfilled' ? 'committed' : (outcome.reason as Error).message)
  await isOver
  await client.close()
}

function reported(twin: hub.Twin, patch: object): Promise<void> {
  return new Promise((resolve, reject) => {
    twin.properties.reported.update(patch, (error?: Error) => (error ? reject(error) : resolve()))
  })
}

function say(step: string, what: unknown): void {
  process.stdout.write(`${JSON.stringify({ [step]: what })}\n`)
}

if (import.meta.main) {
  const [transport = '', connectionString = ''] = process.argv.slice(2)
  try {
    await follow(transport, connectionString)
  } catch (error) {
    process.stdout.write(`${error instanceof Error ? error.name : String(error)}\n`)
    process.exitCode = 1
  }
  process.exit()
}
