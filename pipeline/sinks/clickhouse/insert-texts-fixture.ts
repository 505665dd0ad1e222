import { selectedOf } from '#pipeline/endpoints/selected-fixture.ts'
import type { TableSink } from '#pipeline/endpoints/table-sink.ts'
import { systemClock } from '#runtime/clock.ts'
import { batchFromMessages, envelopeBytes } from '#schemas/batch.ts'

const enqueuedAtMs = 20_000 * 86_400_000

/** Inserts one batch of messages with these bodies, as a worker would. The same offset and token repeat the same insert. */
export async function insertTexts(
  sink: TableSink,
  offset: number,
  texts: readonly string[],
  token = `token ${offset}`,
): Promise<void> {
  const messages = texts.map((text) => ({
    bytes: envelopeBytes({
      deviceId: 'd',
      enqueuedAtMs,
      body: Buffer.from(text),
      properties: {},
      systemProperties: {},
    }),
  }))
  const range = {
    topic: 't',
    partition: 0,
    first: offset,
    last: offset,
    messageCount: texts.length,
    enqueuedAtMsFirst: enqueuedAtMs,
    enqueuedAtMsLast: enqueuedAtMs,
  }
  await sink.insert(selectedOf(range, [batchFromMessages(messages)]), token, systemClock.monotonicMs() + 60_000)
}
