/** `GET /settings`: every setting with its value in force, where that came from, what is allowed and what it means. Never a secret. */
import type { Operation } from '#control/rest/operation.ts'
import { jsonAnswer } from '#runtime/http/answer.ts'
import type { ShownSetting } from '#runtime/settings.ts'

/** Those of the whole installation, as it was started. */
export type ShownSettings = () => Promise<readonly ShownSetting[]>

export function settingsOperations(settings: ShownSettings): Operation[] {
  return [
    {
      method: 'GET',
      pattern: '/settings',
      right: 'RegistryRead',
      ownerOnly: true,
      run: async () => jsonAnswer(200, await settings()),
    },
  ]
}
