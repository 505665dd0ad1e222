import type { Capability } from '#ingest/session/capabilities.ts'
import { refusedAnswer } from './request-desk.ts'

const refusal = () => refusedAnswer(400_003, 'this hub has no device twins yet')

/** The answer to requests for a twin, of which there are none yet. On this code SDKs of the hub do not try again. */
export const twinRefusal: Capability = { requests: { twinRead: refusal, twinReport: refusal } }
