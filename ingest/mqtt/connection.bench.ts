/**
 * Cost of one PUBLISH in the edge's own code: parse, envelope, acknowledgement bookkeeping; no sockets, no log. Chunks are as large as a
 * socket's buffer, or hold one message each, as those of a device that sends seldom.
 */
import mqttPacket from 'mqtt-packet'
import { edgeFixture } from '#ingest/edge-fixture.ts'

const messages = Number(process.argv[2] ?? 4_000_000)
const cases = [
  { connections: 1, chunkBytes: 65_536 },
  { connections: 100, chunkBytes: 65_536 },
  { connections: 1_000, chunkBytes: 0 },
]
for (const qos of [0, 1] as const) {
  for (const { connections, chunkBytes } of cases) {
    const fixture = edgeFixture({ partitions: 4 })
    let offset = 0
    ;(fixture.log as { append: unknown }).append = async () => offset++
    const open = Array.from({ length: connections }, (_, i) => {
      const { connection, transport } = fixture.connect()
      connection.onChunk(
        mqttPacket.generate({
          cmd: 'connect',
          protocolId: 'MQTT',
          protocolVersion: 4,
          clientId: `device-${i}`,
          clean: true,
          keepalive: 60,
        }),
      )
      transport.write = () => {}
      const frame = mqttPacket.generate({
        cmd: 'publish',
        topic: `devices/device-${i}/messages/events/`,
        payload: Buffer.alloc(48, 65),
        qos,
        messageId: 7,
        dup: false,
        retain: false,
      })
      const perChunk = Math.max(1, Math.floor(chunkBytes / frame.length))
      return { connection, chunk: Buffer.concat(Array.from({ length: perChunk }, () => frame)), perChunk }
    })
    const settleEvery = chunkBytes === 0 ? connections : 20
    const start = process.hrtime.bigint()
    const cpuStart = process.cpuUsage()
    let sent = 0
    for (let i = 0; sent < messages; i++) {
      const { connection, chunk, perChunk } = open[i % connections] as (typeof open)[number]
      connection.onChunk(chunk)
      sent += perChunk
      if (i % settleEvery === 0) await fixture.settle()
    }
    await fixture.settle()
    const cpu = process.cpuUsage(cpuStart)
    const nsPerMessage = Number(process.hrtime.bigint() - start) / sent
    process.stdout.write(
      `QoS ${qos}, ${connections} connections${chunkBytes === 0 ? ', a message a chunk' : ''}: ${nsPerMessage.toFixed(0)} ns wall, ${(((cpu.user + cpu.system) * 1000) / sent).toFixed(0)} ns CPU a message\n`,
    )
  }
}
