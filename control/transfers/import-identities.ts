/**
 * The lines of a blob, carried out as the operations of a bulk request are, and what was refused as lines of another blob.
 *
 *   part of the blob ──▶ lines ──▶ some at a time ──▶ one transaction: identities, twins, position, refusals ──▶ enough refusals: a block
 *
 * Lines and the position behind them are committed together: whatever is killed, no line is carried out twice, and none is left out.
 * A line at which the import breaks off is named, and what was refused before it is in the other blob.
 */
import { type BulkStep, runSteps } from '#control/identities/bulk-steps.ts'
import type { Queries } from '#control/store/database.ts'
import { assert } from '#runtime/assert.ts'
import type { Pace } from '#runtime/pace.ts'
import { limits } from '#schemas/limits.ts'
import { type BlobLine, linesIn } from './blob-lines.ts'
import { type ImportLine, importLine, refusalText } from './import-line.ts'
import { transferFault } from './read-transfer.ts'
import type { TransferAttempt } from './transfer-run.ts'
import type { BlobAddress, FoundBlob, TransferContainer, TransferCounts, TransferPosition } from './transfers.ts'
import { behindBlockOf, blocksOf, putAndCommit } from './written-blocks.ts'

interface Progress {
  readonly at: TransferPosition
  readonly counts: TransferCounts
}

interface Source extends FoundBlob, Pick<BlobAddress, 'blob'> {
  readonly container: TransferContainer
}

export async function importIdentities(attempt: TransferAttempt): Promise<void> {
  const { run, tools, state } = attempt
  const { pace } = run.tools
  const source = await foundSource(attempt)
  const target = attempt.container(state.transfer.target)
  let progress: Progress = { at: { ...state.at, etag: source.etag }, counts: state.counts }
  while (progress.at.bytes < source.bytes) {
    const { bytes: from } = progress.at
    const lines = await nextLines(attempt, source, progress.at)
    for (let some = taken(lines, pace); some.length > 0; some = taken(lines, pace)) {
      if (progress.at.blocks >= limits.transferBlocksMax)
        return await breakOff(attempt, target, progress, 'is not carried out: a blob has no room for more refusals')
      await pace.ready(run.over)
      if (run.over.aborted) return
      progress = await carriedOut(attempt, progress, some.map(importLine), source.bytes)
      pace.charge(some.length)
      if (progress.at.pending.length < limits.transferPendingBytesMax) continue
      progress = await withBlock(attempt, target, progress)
      await tools.work.advance(undefined, run.job, progress.at, progress.counts)
    }
    if (progress.at.bytes === from)
      return await breakOff(attempt, target, progress, `is longer than ${limits.transferReadBytes} bytes`)
  }
  progress = await withLog(attempt, target, progress)
  await tools.work.complete(run.job, progress.at, { ...progress.counts, percent: 100 })
}

/** At the line that comes next. What was refused before it is told. @throws JOB_INVALID */
async function breakOff(
  attempt: TransferAttempt,
  target: TransferContainer,
  progress: Progress,
  reason: string,
): Promise<never> {
  await withLog(attempt, target, progress)
  throw transferFault(`line ${progress.at.lines + 1} of ${attempt.state.transfer.source?.blob} ${reason}`)
}

/** The version of the blob that was begun with. @throws JOB_INVALID where there is none, or it is another one by now */
async function foundSource(attempt: TransferAttempt): Promise<Source> {
  const { source } = attempt.state.transfer
  if (source === undefined) throw transferFault('an import reads from a blob')
  const container = attempt.container(source)
  const found = await attempt.asking(() => container.find(source.blob))
  if (found === undefined) throw transferFault(`there is no ${source.blob} in the container`)
  const { etag } = attempt.state.at
  if (etag !== '' && etag !== found.etag) throw transferFault(`${source.blob} was changed while it was imported`)
  return { ...found, container, blob: source.blob }
}

async function nextLines(
  { asking }: TransferAttempt,
  { container, blob, bytes, etag }: Source,
  at: TransferPosition,
): Promise<Iterator<BlobLine, undefined>> {
  const end = Math.min(bytes, at.bytes + limits.transferReadBytes)
  const part = await asking(() => container.read(blob, { first: at.bytes, last: end - 1, etag }))
  return linesIn(part, end === bytes, at)
}

/** The next of them, as many as are carried out at once. */
function taken(lines: Iterator<BlobLine, undefined>, { atOnce }: Pace): BlobLine[] {
  const some: BlobLine[] = []
  while (some.length < Math.min(atOnce, limits.transferLinesAtOnceMax)) {
    const { value } = lines.next()
    if (value === undefined) break
    some.push(value)
  }
  return some
}

/** Carries lines out, some of them in each transaction. @returns how far it is then */
async function carriedOut(
  { run, tools }: TransferAttempt,
  before: Progress,
  lines: readonly ImportLine[],
  bytes: number,
): Promise<Progress> {
  let progress = before
  let next = 0
  const pass = async (queries: Queries | undefined, to: number, outcomes: Map<BulkStep, Error | undefined>) => {
    progress = progressAfter(progress, lines.slice(next, to), outcomes, bytes)
    next = to
    await tools.work.advance(queries, run.job, progress.at, progress.counts)
  }
  const steps = lines.flatMap(({ step }) => step ?? [])
  await runSteps(tools.identities, tools.updateTwins, steps, async (queries, done, outcomes) => {
    const last = lines.findIndex(({ step }) => step === done.at(-1))
    await pass(queries, last + 1, new Map(done.map((step, index) => [step, outcomes[index]])))
  })
  if (next < lines.length) await pass(undefined, lines.length, new Map())
  count(run, before.counts, progress.counts)
  return progress
}

function progressAfter(
  { at, counts }: Progress,
  lines: readonly ImportLine[],
  outcomes: ReadonlyMap<BulkStep, Error | undefined>,
  bytes: number,
): Progress {
  let { done, refused } = counts
  let { pending } = at
  for (const line of lines) {
    const fault = line.fault ?? (line.step && outcomes.get(line.step))
    if (fault !== undefined) {
      refused++
      pending += refusalText(line, fault)
    } else if (line.step !== undefined) done++
  }
  const last = lines.at(-1)
  const end = last?.end ?? at.bytes
  return {
    at: { ...at, bytes: end, lines: last?.number ?? at.lines, pending },
    counts: { done, refused, percent: Math.min(99, Math.floor((100 * end) / bytes)) },
  }
}

/** Puts what was refused as a block. */
async function withBlock(attempt: TransferAttempt, target: TransferContainer, before: Progress): Promise<Progress> {
  const { put, progress } = nextBlock(attempt, target, before)
  await attempt.asking(put)
  return progress
}

/** Makes the blob of all that was refused; also where nothing was: what an earlier import left there is not this one's. */
async function withLog(attempt: TransferAttempt, target: TransferContainer, before: Progress): Promise<Progress> {
  const { run, state, asking } = attempt
  const { blob } = state.transfer.target
  const isAllPut = before.at.pending === ''
  const { put, progress } = isAllPut ? { put: async () => {}, progress: before } : nextBlock(attempt, target, before)
  await asking(() => putAndCommit(put, target, blob, blocksOf(progress.at, run.job.jobId)))
  return progress
}

function nextBlock({ run, state, writer }: TransferAttempt, target: TransferContainer, { at, counts }: Progress) {
  assert(at.blocks < limits.transferBlocksMax, `a blob has ${limits.transferBlocksMax} blocks at most`)
  const block = { writer, index: at.blocks }
  const body = Buffer.from(at.pending)
  return {
    put: () => target.putBlock(state.transfer.target.blob, block, body),
    progress: { at: { ...behindBlockOf(writer, at, run.job.jobId), pending: '' }, counts },
  }
}

function count({ job, tools: { metrics } }: TransferAttempt['run'], before: TransferCounts, after: TransferCounts) {
  const series = (outcome: string) => metrics.series('penstock_jobs_devices_total', { type: job.type, outcome })
  if (after.done > before.done) series('completed').add(after.done - before.done)
  if (after.refused > before.refused) series('failed').add(after.refused - before.refused)
}
