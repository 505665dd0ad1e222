/** A process of its own for the conformance suite: `node log-child.conformance.ts <options> append|join <count>`. */
import { silentLogger } from '#runtime/logger.ts'
import { isPenstockError } from '#schemas/errors.ts'
import type { Assignment, BatchStamp, Log } from './log.ts'
import { openLog } from './open/open-log.ts'

const [options = '{}', action, count = '0'] = process.argv.slice(2)

if (process.send !== undefined) await run()

async function run(): Promise<void> {
  const log = await openLog({ ...JSON.parse(options), logger: silentLogger })
  process.send?.('ready')
  if (action === 'append') await append(log, Number(count))
  else await join(log)
}

/** Appends records and reports each one as soon as it is confirmed. */
async function append(log: Log, recordCount: number): Promise<void> {
  const appends: Promise<void>[] = []
  for (let index = 0; index < recordCount; index++) {
    const partition = index % log.partitionCount
    const value = `${process.pid}:${index}`
    const stamp: BatchStamp = {
      schemaVersion: 1,
      edgeId: `edge-${process.pid}`,
      epoch: 1,
      sequence: index,
      messageCount: 1,
      enqueuedAtMsFirst: 1,
      enqueuedAtMsLast: 1,
    }
    appends.push(
      log
        .append(partition, stamp, Buffer.from(value))
        .then((offset) => void process.send?.([partition, offset, value])),
    )
    if (appends.length >= 8) await appends.shift()
  }
  await Promise.all(appends)
  await log.close()
  process.disconnect()
}

/** Joins group `g` and reports each assignment; when told to, stops itself (`pause`), or tries to commit with the first one. */
async function join(log: Log): Promise<void> {
  let first: Assignment | undefined
  process.on('message', (message) => {
    if (message === 'pause') {
      // Right after a write of its own: a process stopped inside an LMDB transaction would stall every other writer.
      void first?.commit({ offset: 0, metadata: 'before' }).then(() => process.kill(process.pid, 'SIGSTOP'))
      return
    }
    first?.commit({ offset: 999, metadata: 'late' }).then(
      () => process.send?.('committed'),
      (error: unknown) => process.send?.(isPenstockError(error) ? error.code : String(error)),
    )
  })
  await log.join('g', (assignment) => {
    if (first !== undefined) return
    first = assignment
    process.send?.(['assigned', assignment.partition])
  })
}
