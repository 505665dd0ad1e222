/**
 * All identities as lines of a blob, devices before their modules, so that an import makes them in this order.
 *
 *   page ──▶ block n of the blob ──▶ the store: n + 1 blocks, and where the next page begins
 *
 * Whatever is killed between the last two, the page is read again, and its block put by another name: the first one is in no list, whenever
 * it lands. Identities that are made or changed meanwhile are in it as their page finds them.
 */
import { exportedDocument } from '#control/identities/documents.ts'
import { etagText } from '#control/twins/twin-document.ts'
import type { IdentityTwin, Twin } from '#control/twins/twins.ts'
import { assert } from '#runtime/assert.ts'
import { limits } from '#schemas/limits.ts'
import { transferFault } from './read-transfer.ts'
import type { TransferAttempt } from './transfer-run.ts'
import type { TransferPosition } from './transfers.ts'
import { behindBlockOf, blocksOf, putAndCommit } from './written-blocks.ts'

const queries = { devices: 'SELECT * FROM devices', modules: 'SELECT * FROM devices.modules' } as const

export async function exportIdentities(attempt: TransferAttempt): Promise<void> {
  const { run, tools, state, writer, asking } = attempt
  const { target, isWithoutKeys } = state.transfer
  const container = attempt.container(target)
  const total = await tools.work.countIdentities()
  let { at, counts } = state
  for (;;) {
    if (run.over.aborted) return
    const page = await pageAt(attempt, at)
    const block = { writer, index: at.blocks }
    const hasLines = page.twins.length > 0
    if (hasLines && block.index >= limits.transferBlocksMax)
      throw transferFault('there are more identities than a blob has room for')
    const lines = page.twins.map((twin) => `${JSON.stringify(lineOf(twin, isWithoutKeys))}\n`)
    const body = Buffer.from(lines.join(''))
    const put = async () => {
      if (hasLines) await container.putBlock(target.blob, block, body)
    }
    const isLast = at.phase === 'modules' && page.continuation === undefined
    at = positionAfter(hasLines ? behindBlockOf(writer, at, run.job.jobId) : at, page)
    const done = counts.done + page.twins.length
    counts = { ...counts, done, percent: Math.min(99, Math.floor((100 * done) / Math.max(total, 1))) }
    if (isLast) {
      await asking(() => putAndCommit(put, container, target.blob, blocksOf(at, run.job.jobId)))
      return await tools.work.complete(run.job, at, { ...counts, percent: 100 })
    }
    await asking(put)
    await tools.work.advance(undefined, run.job, at, counts)
  }
}

interface Page {
  readonly twins: readonly IdentityTwin[]
  readonly continuation: string | undefined
}

async function pageAt({ tools }: TransferAttempt, { phase, continuation }: TransferPosition): Promise<Page> {
  const page = { countMax: limits.transferPageMax, continuation: continuation || undefined }
  const result = await tools.queries.query(queries[phase], page)
  assert(result.kind === 'twin', 'a query of everything gives whole twins')
  return result
}

function positionAfter(at: TransferPosition, { continuation }: Page): TransferPosition {
  return {
    ...at,
    phase: continuation === undefined ? 'modules' : at.phase,
    continuation: continuation ?? '',
  }
}

function lineOf({ identity, twin }: IdentityTwin, isWithoutKeys: boolean) {
  const { tags, desired, etag } = twin
  return exportedDocument(
    identity,
    isWritten(twin) ? { etag: etagText(etag), tags, desired: desired.value } : undefined,
    isWithoutKeys,
  )
}

/** Reported properties are the device's: no import could write them. */
function isWritten({ tags, desired }: Twin): boolean {
  return Object.keys(tags).length > 0 || Object.keys(desired.value).length > 0
}
