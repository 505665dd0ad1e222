/** `GET /settings`: every setting with its value in force, where that came from, what is allowed and what it means. Never a secret. */
import type { Operation } from '#control/rest/operation.ts'
import { aFlag, anything, aText, choiceOf, listOf, named, recordOf } from '#runtime/api/shapes.ts'
import { gives } from '#runtime/api/told.ts'
import { jsonAnswer } from '#runtime/http/answer.ts'
import type { ShownSetting } from '#runtime/settings.ts'

const shownSetting = named(
  'ShownSetting',
  recordOf(
    { name: aText, value: anything, source: choiceOf(['default', 'file', 'environment']), meaning: aText },
    { isSet: aFlag },
  ),
)

/** Those of the whole installation, as it was started. */
export type ShownSettings = () => Promise<readonly ShownSetting[]>

export function settingsOperations(settings: ShownSettings): Operation[] {
  return [
    {
      method: 'GET',
      pattern: '/settings',
      told: {
        summary: 'Settings in force, and where each came from; no secret',
        answered: { 200: gives('all of them', listOf(shownSetting)) },
      },
      right: 'RegistryRead',
      ownerOnly: true,
      run: async () => jsonAnswer(200, await settings()),
    },
  ]
}
