/**
 * Uploads a file by the hub's own device SDK for Node, unchanged: so many bytes of one letter. Prints `uploaded`, or the name of the fault.
 *
 *   node upload-file.ts <connection string> <file name> <bytes>
 */
import { Readable } from 'node:stream'
// CommonJS: only the whole module can be imported.
import hub from 'azure-iot-device'
import overMqtt from 'azure-iot-device-mqtt'

const pieceBytes = 64 * 1024

function* letters(bytes: number): Generator<Buffer> {
  for (let left = bytes; left > 0; left -= pieceBytes) yield Buffer.alloc(Math.min(left, pieceBytes), 'f')
}

const [connectionString = '', name = '', bytes = '0'] = process.argv.slice(2)
try {
  const client = hub.Client.fromConnectionString(connectionString, overMqtt.Mqtt)
  await client.uploadToBlob(name, Readable.from(letters(Number(bytes))), Number(bytes))
  process.stdout.write('uploaded\n')
} catch (error) {
  const inner = error instanceof Error && 'innerError' in error ? ` ${String(error.innerError)}` : ''
  process.stdout.write(`${error instanceof Error ? error.name : String(error)}${inner}\n`)
  process.exitCode = 1
}
process.exit()
