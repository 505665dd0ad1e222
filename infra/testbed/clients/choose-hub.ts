/**
 * A function of an operator's that chooses the first hub, and tells each device what it was asked with; until its input ends.
 *
 *   node choose-hub.ts <port>     prints `ready`
 */
import { createServer } from 'node:http'
import { json } from 'node:stream/consumers'

if (import.meta.main) {
  const server = createServer(async (request, answer) => {
    const { linkedHubs, deviceRuntimeContext } = (await json(request)) as {
      readonly linkedHubs: readonly string[]
      readonly deviceRuntimeContext: { readonly payload?: unknown }
    }
    const payload = { heard: deviceRuntimeContext.payload }
    answer.end(JSON.stringify({ iotHubHostName: linkedHubs[0], payload }))
  })
  server.listen(Number(process.argv[2]), '127.0.0.1', () => process.stdout.write('ready\n'))
  process.stdin.resume().on('end', () => process.exit())
}
