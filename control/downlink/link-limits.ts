import type { Contract } from '#runtime/line-rpc/contract.ts'
import type { LinkVersion } from '#runtime/line-rpc/link-version.ts'

/** A payload in which every byte is escaped, and what stands around it, fit. */
const lineBytesMax = 2 * 1024 * 1024

/** Of one that has not read so much, it is stuck. */
const unreadBytesMax = 64 * 1024 * 1024

export const downlinkChannelLimits = { lineBytesMax, unreadBytesMax } as const

/** What an answer may take on its way, beside the time that an edge takes for it. */
export const wayMsMax = 2_000

/** Of a side that only answers, or only asks. */
export const noContract = { questions: {}, pushes: {} } as const satisfies Contract

/** Of the link between control and edges of other machines. */
export const downlinkVersion: LinkVersion = { spoken: 1, oldest: 1 }
