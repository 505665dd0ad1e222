/** Records that services receive: what is told of commands, and of files. */
import type { HttpAnswer } from '#runtime/http/answer.ts'
import { PenstockError } from '#schemas/errors.ts'
import type { Operation } from './operation.ts'
import type { OperationTold } from './told.ts'

const done: HttpAnswer = { status: 204 }
const right = 'ServiceConnect'

/** What each of the three says of itself. */
export interface LockedRecordsTold {
  readonly take: OperationTold
  readonly complete: OperationTold
  readonly abandon: OperationTold
}

/**
 *   GET    {path}                  the next, with their lock as ETag    204: none
 *   DELETE {path}/{lock}           done with them
 *   POST   {path}/{lock}/abandon   for the next who asks
 *
 * @param paths in all their spellings
 * @param settle false if the lock is over
 */
export function lockedRecordOperations(
  paths: readonly string[],
  take: () => Promise<HttpAnswer | undefined>,
  settle: (lockToken: string, kind: 'complete' | 'abandon') => Promise<boolean>,
  told: LockedRecordsTold,
): Operation[] {
  const settled =
    (kind: 'complete' | 'abandon'): Operation['run'] =>
    async (request) => {
      if (await settle(request.parameter(0) ?? '', kind)) return done
      throw new PenstockError('COMMAND_LOCK_LOST', 'what was taken is no longer locked by this token')
    }
  return paths.flatMap((path): Operation[] => [
    { method: 'GET', pattern: path, told: told.take, right, run: async () => (await take()) ?? done },
    {
      method: 'DELETE',
      pattern: `${path}/:lock`,
      told: told.complete,
      right,
      audited: 'used',
      run: settled('complete'),
    },
    {
      method: 'POST',
      pattern: `${path}/:lock/abandon`,
      told: told.abandon,
      right,
      audited: 'used',
      run: settled('abandon'),
    },
  ])
}
