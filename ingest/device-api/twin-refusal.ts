import type { Capability } from '#ingest/session/capabilities.ts'
import { refusedAnswer } from './request-desk.ts'

const refusal = () => refusedAnswer(400_003, 'a hub that believes every client id keeps no twins')

/** The answer to requests for a twin where no identities are asked for. On this code SDKs of the hub do not try again. */
export const twinRefusal: Capability = { requests: { twinRead: refusal, twinReport: refusal } }
