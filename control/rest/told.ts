/** What operations of the service API say of themselves. */
import type { Shape } from '#runtime/api/shapes.ts'
import type { RouteTold } from '#runtime/api/told.ts'
import type { ErrorCode } from '#schemas/errors.ts'
import { faultsTold, faultTold } from './rest.ts'

/** `faults`: codes of what can go wrong besides what can with any operation. */
export type OperationTold = Omit<RouteTold, 'allowed'> & { readonly faults?: readonly ErrorCode[] }

const always: readonly ErrorCode[] = [
  'INGEST_NOT_AUTHORIZED',
  'INGEST_RATE_EXCEEDED',
  'STORE_UNAVAILABLE',
  'REGISTRY_ARGUMENT_INVALID',
]
const withBody: readonly ErrorCode[] = ['REGISTRY_BODY_MALFORMED', 'REGISTRY_BODY_TOO_LARGE']

interface ToldOperation {
  readonly told: OperationTold
  readonly right: string | readonly string[]
  readonly ownerOnly?: boolean
  readonly bodyBytesMax?: number
  readonly faultShape?: Shape
}

export function toldOf({ told, right, ownerOnly, bodyBytesMax, faultShape }: ToldOperation): RouteTold {
  const { faults = [], ...text } = told
  const codes = [...always, ...(bodyBytesMax === undefined ? [] : withBody), ...faults]
  const rights = typeof right === 'string' ? [right] : right
  return {
    ...text,
    answered: { ...faultsTold(codes, faultShape), 500: faultTold(['ServerError'], faultShape), ...text.answered },
    allowed: ownerOnly ? 'the policy iothubowner' : `a policy with the right ${rights.join(' or ')}`,
  }
}
