import { join } from 'node:path'
import { claimFolder, type FolderUse } from '#runtime/folder-use.ts'
import { procLink } from '#runtime/proc.ts'
import { PenstockError } from '#schemas/errors.ts'

/**
 * Lets processes of one process id space at a time open the environment in `path`.
 *
 * LMDB's table of readers names each by its process id. In two containers that share a volume two processes may have the same: the one
 * that opens or closes takes the other's readers for its own and frees them, and pages are reused while they are read. That ends in
 * a crash, or in records that are wrong.
 * @returns the use, which ends after the environment is closed. @throws LOG_LOCKED
 */
export async function joinProcessSpace(path: string): Promise<FolderUse> {
  const own = processSpace()
  const use = await claimFolder(join(path, 'processes'), own, (other) => other === own)
  if (typeof use !== 'string') return use
  throw new PenstockError(
    'LOG_LOCKED',
    `the log in ${path} is open in another container: the embedded log needs all its processes in one. Run edges, worker and commands in ` +
      'the same container (docker exec), let the containers share their process ids (docker run --pid container:<name>, ' +
      'shareProcessNamespace in Kubernetes), or use Kafka (PENSTOCK_KAFKA_BROKERS)',
  )
}

function processSpace(): string {
  const space = procLink('self/ns/pid')?.replace(/\D/g, '')
  return space ?? 'machine' // a system without such spaces
}
