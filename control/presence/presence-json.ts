/** Presence as it travels between processes. */
import { idChecks } from '#control/identities/credentials-json.ts'
import { aBoolean, aNumber, aText, listOf, optional, recordOf } from '#runtime/json-check.ts'
import type { ActivityRecord, Announcement, PresenceRecord } from './presence.ts'

export const presenceCheck = recordOf<PresenceRecord>({
  ...idChecks,
  connected: aBoolean,
  edgeId: aText,
  atMs: aNumber,
  modelId: optional(aText),
})

const activityCheck = recordOf<ActivityRecord>({ ...idChecks, atMs: aNumber })

/** What an edge process has heard of. */
export const activitiesCheck = recordOf<{ readonly edgeId: string; readonly heard: readonly ActivityRecord[] }>({
  edgeId: aText,
  heard: listOf(activityCheck),
})

export const announcementCheck = recordOf<Announcement>({ edge: aText, opened: listOf(activityCheck) })
