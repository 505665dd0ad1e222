/** `GET /delivery`: how far messages are on their way to rows and endpoints, dead letters, views, disks. What is not known is said to be so. */
import type { Operation } from '#control/rest/operation.ts'
import { jsonAnswer } from '#runtime/http/answer.ts'
import type { DeliveryState } from './delivery.ts'

export function deliveryOperations(state: DeliveryState): Operation[] {
  return [
    {
      method: 'GET',
      pattern: '/delivery',
      right: 'ServiceConnect',
      ownerOnly: true,
      run: async () => jsonAnswer(200, await state.report()),
    },
  ]
}
