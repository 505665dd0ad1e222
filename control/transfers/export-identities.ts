/**
 * All identities as lines of a blob, devices before their modules, so that an import makes them in this order.
 *
 *   page ──▶ block n of the blob ──▶ the store: n + 1 blocks, and where the next page begins
 *
 * Whatever is killed between the last two, the page is read and its block put again, in place of the first one. Identities that are made or
 * changed meanwhile are in it as their page finds them.
 */
import { exportedDocument } from '#control/identities/documents.ts'
import { etagText } from '#control/twins/twin-document.ts'
import type { IdentityTwin, Twin } from '#control/twins/twins.ts'
import { assert } from '#runtime/assert.ts'
import { limits } from '#schemas/limits.ts'
import { transferFault } from './read-transfer.ts'
import type { TransferAttempt } from './transfer-run.ts'
import type { TransferPosition } from './transfers.ts'

const queries = { devices: 'SELECT * FROM devices', modules: 'SELECT * FROM devices.modules' } as const

export async function exportIdentities(attempt: TransferAttempt): Promise<void> {
  const { run, tools, state, asking } = attempt
  const { target, isWithoutKeys } = state.transfer
  const container = attempt.container(target)
  const total = await tools.work.countIdentities()
  let { at, counts } = state
  for (let isLast = false; !isLast; ) {
    if (run.over.aborted) return
    const page = await pageAt(attempt, at)
    if (page.twins.length > 0) {
      if (at.blocks === limits.transferBlocksMax)
        throw transferFault('there are more identities than a blob has room for')
      const lines = page.twins.map((twin) => `${JSON.stringify(lineOf(twin, isWithoutKeys))}\n`)
      const block = Buffer.from(lines.join(''))
      await asking(() => container.putBlock(target.blob, run.job.jobId, at.blocks, block))
    }
    isLast = at.phase === 'modules' && page.continuation === undefined
    at = positionAfter(at, page)
    const done = counts.done + page.twins.length
    counts = { ...counts, done, percent: Math.min(99, Math.floor((100 * done) / Math.max(total, 1))) }
    if (!isLast) await tools.work.advance(undefined, run.job, at, counts)
  }
  await asking(() => container.commit(target.blob, run.job.jobId, at.blocks))
  await tools.work.complete(run.job, at, { ...counts, percent: 100 })
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

function positionAfter(at: TransferPosition, { twins, continuation }: Page): TransferPosition {
  return {
    ...at,
    blocks: at.blocks + (twins.length > 0 ? 1 : 0),
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
