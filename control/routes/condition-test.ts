import { readCondition } from '#pipeline/routing/condition/condition.ts'
import { factsOf, type RoutedMessage } from '#pipeline/routing/condition/message-facts.ts'
import { problemText } from '#pipeline/routing/condition/problem.ts'
import type { RoutingSource } from '#schemas/routing/routing.ts'

/** What a condition makes of one message; of one that does not compile, why. The form is the hub's own. */
export function conditionOnMessage(
  condition: string,
  source: RoutingSource,
  message: RoutedMessage,
): Readonly<Record<string, unknown>> {
  const reading = readCondition(condition, source)
  const problems = 'errors' in reading ? [...reading.errors, ...reading.warnings] : reading.warnings
  const details = {
    compilationErrors: problems.map((problem) => ({
      message: problemText(problem),
      severity: problem.severity,
      location: problem.location,
    })),
  }
  if ('errors' in reading) return { result: 'undefined', details }
  const explanation = reading.condition.explain(factsOf(message, reading.condition.needs))
  return { result: String(explanation.verdict), details, explanation }
}
