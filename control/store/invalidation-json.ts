import { aText, type JsonCheck, listOf, oneOf, recordOf, variantsOf } from '#runtime/json-check.ts'
import type { Invalidation } from './changes.ts'

/** A notice as it travels between processes. */
export const invalidationCheck: JsonCheck<Invalidation> = variantsOf<'kind', Invalidation>('kind', {
  devices: recordOf<{ readonly kind: 'devices'; readonly deviceIds: readonly string[] }>({
    kind: oneOf('devices'),
    deviceIds: listOf(aText),
  }),
  trust: () => ({ kind: 'trust' }),
  quotas: () => ({ kind: 'quotas' }),
  everything: () => ({ kind: 'everything' }),
})
