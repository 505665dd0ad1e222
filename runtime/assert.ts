import { PenstockError } from '#schemas/errors.ts'

/**
 * Checks what must hold at a boundary: what a server, a file or another process answered, a length, an offset, an order. What is
 * wrong there is a fault of a program, not of a device, so it is never answered to one.
 *
 * @param what was expected, in words; it may hold numbers and names of this installation, never what a device sent
 * @throws PenstockError INTERNAL_EXPECTATION_FAILED
 */
export function assert(condition: unknown, what: string): asserts condition {
  if (!condition) throw new PenstockError('INTERNAL_EXPECTATION_FAILED', `expected that ${what}`)
}
