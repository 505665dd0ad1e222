/**
 * The directory over a local socket (`runtime/line-rpc/`): what edges ask the control role, and what it tells them. A further capability is
 * a line or two in these tables, with the checks that its own folder exports.
 */
import { createHash } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { commandsWantedCheck, queueLineCheck, settlementCheck } from '#control/commands/commands-json.ts'
import { downlinkContract } from '#control/downlink/downlink-contract.ts'
import { deviceCredentialsCheck, identityIdCheck } from '#control/identities/credentials-json.ts'
import { activitiesCheck, announcementCheck, presenceCheck } from '#control/presence/presence-json.ts'
import { provisioningAnswerCheck, provisioningRequestCheck } from '#control/provisioning/provisioning-json.ts'
import { quotaCheck } from '#control/quotas/quota-json.ts'
import { keptSessionCheck } from '#control/sessions/sessions-json.ts'
import { storeCopyCheck } from '#control/store/copy-store.ts'
import { invalidationCheck } from '#control/store/invalidation-json.ts'
import { trustCheck } from '#control/trust/trust-json.ts'
import {
  desiredChangeCheck,
  desiredSeenCheck,
  foundTwinCheck,
  reportCheck,
  reportOutcomeCheck,
  twinNoticeCheck,
  wholeTwinCheck,
} from '#control/twins/twin-json.ts'
import { uploadBegunCheck, uploadEndedCheck, uploadIdCheck } from '#control/uploads/uploads-json.ts'
import { aBoolean, aNumber, aText, listOf, nothing, optional, recordOf } from '#runtime/json-check.ts'
import type { Contract } from '#runtime/line-rpc/contract.ts'
import type { LinkVersion } from '#runtime/line-rpc/link-version.ts'

/** What the control role answers and hears. */
export const controlContract = {
  questions: {
    lookup: { asked: listOf(aText), answered: listOf(deviceCredentialsCheck) },
    trust: { asked: nothing, answered: trustCheck },
    quotas: { asked: nothing, answered: listOf(quotaCheck) },
    reset: {
      asked: recordOf<{ readonly edgeId: string; readonly atMs: number }>({ edgeId: aText, atMs: aNumber }),
      answered: listOf(identityIdCheck),
    },
    beat: { asked: activitiesCheck, answered: nothing },
    sessions: { asked: listOf(identityIdCheck), answered: listOf(keptSessionCheck) },
    keepSessions: { asked: listOf(keptSessionCheck), answered: nothing },
    announce: { asked: announcementCheck, answered: aNumber },
    twins: { asked: listOf(identityIdCheck), answered: listOf(foundTwinCheck) },
    wholeTwins: { asked: listOf(identityIdCheck), answered: listOf(wholeTwinCheck) },
    report: { asked: listOf(reportCheck), answered: listOf(reportOutcomeCheck) },
    desiredSince: { asked: listOf(desiredSeenCheck), answered: listOf(desiredChangeCheck) },
    seen: { asked: listOf(identityIdCheck), answered: listOf(desiredSeenCheck) },
    takeCommands: { asked: listOf(commandsWantedCheck), answered: listOf(queueLineCheck) },
    provision: { asked: listOf(provisioningRequestCheck), answered: listOf(provisioningAnswerCheck) },
    settleCommands: { asked: listOf(settlementCheck), answered: listOf(aBoolean) },
    uploadKey: { asked: nothing, answered: aText },
    beginUpload: { asked: uploadBegunCheck, answered: optional(aText) },
    uploadName: { asked: uploadIdCheck, answered: optional(aText) },
    copyStore: { asked: aText, answered: optional(storeCopyCheck) },
    endUpload: { asked: uploadEndedCheck, answered: aBoolean },
  },
  pushes: { presence: listOf(presenceCheck), saw: listOf(desiredSeenCheck) },
} as const satisfies Contract

/** What an edge answers and hears. */
export const edgeContract = {
  questions: downlinkContract.questions,
  pushes: { invalid: invalidationCheck, announced: announcementCheck, desired: twinNoticeCheck },
} as const satisfies Contract

/** Of the link between control and the edges of its machine. */
export const directoryVersion: LinkVersion = { spoken: 1, oldest: 1 }

/** Longest line: a thousand devices of fifty modules each, and the largest batch of presence, fit many times. */
const lineBytesMax = 64 * 1024 * 1024

/** Of one that has not read so much, it is stuck, and asks again from the beginning once it is back. */
const unreadBytesMax = 256 * 1024 * 1024

export const directoryLimits = { lineBytesMax, unreadBytesMax } as const

/** A question that is not answered by then is given up. */
export const answerMsMax = 5_000

/** Unix socket paths hold about 107 bytes; a data folder with a longer name gets a socket in the system's temporary folder. */
const socketPathBytesMax = 103

/** Where the control role listens for the edges of the same data folder. */
export function controlSocketPath(dataDir: string): string {
  const folder = resolve(dataDir)
  const path = join(folder, 'control.sock')
  if (Buffer.byteLength(path) <= socketPathBytesMax) return path
  return join(tmpdir(), `penstock-${createHash('sha256').update(folder).digest('hex').slice(0, 16)}.sock`)
}
