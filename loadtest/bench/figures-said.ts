import { hasNumbers, jsonOrNothing } from '#loadtest/options/json-shape.ts'
import { PenstockError } from '#schemas/errors.ts'

/** The numbers that a program of a bench printed as JSON. @throws LOADTEST_GENERATOR_FAILED if it printed anything else */
export function figuresSaid<Name extends string>(
  output: string,
  ...names: readonly Name[]
): Readonly<Record<Name, number>> {
  const said = jsonOrNothing(output)
  if (hasNumbers(said, ...names)) return said as Readonly<Record<Name, number>>
  throw new PenstockError('LOADTEST_GENERATOR_FAILED', `expected ${names.join(' and ')}, got ${output.slice(0, 200)}`)
}
