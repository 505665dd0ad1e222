import type { ReplayReport, RoutingStore } from '#control/routes/routes.ts'
import type { ReplayRun } from '#pipeline/workers/routed/replay-run.ts'
import type { Replays } from '#pipeline/workers/routed/replays.ts'
import type { Router } from '#pipeline/workers/routed/router.ts'
import type { Logger } from '#runtime/logger.ts'
import { isPenstockError } from '#schemas/errors.ts'
import type { ReplayOutcome } from '#schemas/routing/replay.ts'

/** Runs the replays that people began, and writes down which of them ended. @returns how far the others are */
export async function keepReplays(
  store: RoutingStore,
  router: Router,
  replays: Replays,
  logger: Logger,
): Promise<readonly ReplayReport[]> {
  const end = async (id: string, endpoint: string, as: ReplayOutcome, fields: Record<string, unknown> = {}) => {
    if (await store.endReplay(id, as)) logger.info('a replay ended', { replay: id, endpoint, as, ...fields })
  }
  try {
    const wanted = (await store.replays()).filter(({ ended }) => ended === undefined).map(({ replay }) => replay)
    for (const { id, endpoint } of await replays.apply(router.revision, router.document, wanted))
      await end(id, endpoint, 'gone')
    const reports: ReplayReport[] = []
    for (const run of replays.runs) {
      const report = await reportOf(run, ({ messagesDelivered }) =>
        end(run.replay.id, run.replay.endpoint, 'done', { messagesDelivered }),
      )
      if (report) reports.push(report)
    }
    return reports
  } catch (error) {
    if (!isPenstockError(error)) throw error
    logger.warn('replays of the log are not looked after at present', { error })
    return []
  }
}

async function reportOf(
  run: ReplayRun,
  onDone: (report: ReplayReport) => Promise<void>,
): Promise<ReplayReport | undefined> {
  const progress = await run.progress()
  if (progress === undefined) return undefined
  const { records, recordsDone, messagesDelivered, isDone, health } = progress
  const isFine = health.healthStatus === 'healthy' || health.healthStatus === 'unknown'
  const fault = isFine ? undefined : health.lastKnownError
  const report = { id: run.replay.id, records, recordsDone, messagesDelivered, fault }
  if (isDone) await onDone(report)
  return report
}
