import { reasonOf } from './call.ts'

/** Why a text is not JSON; `undefined`: it is. */
export function syntaxFault(text: string): string | undefined {
  try {
    JSON.parse(text)
    return undefined
  } catch (error) {
    return `is not JSON: ${reasonOf(error)}`
  }
}
