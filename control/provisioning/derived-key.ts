import { createHmac } from 'node:crypto'

/** The key of a device of a group: what its maker puts into it, and what its hub gets. Both keys are base64. */
export function derivedKey(groupKey: string, registrationId: string): string {
  return createHmac('sha256', Buffer.from(groupKey, 'base64')).update(registrationId).digest('base64')
}
