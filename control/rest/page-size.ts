import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'

/** How many items a caller wants at a time, at most `registryPageMax`. @throws REGISTRY_ARGUMENT_INVALID */
export function pageSizeOf(text: string, countDefault: number): number {
  if (text === '') return countDefault
  if (!/^\d{1,9}$/.test(text) || Number(text) === 0)
    throw new PenstockError('REGISTRY_ARGUMENT_INVALID', 'a page size must be a positive whole number')
  return Math.min(Number(text), limits.registryPageMax)
}
