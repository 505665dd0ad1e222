/** Checks of what is asked and told of a load test. */
import { aCount, aNumber, aText, type JsonCheck, listOf, oneOf, optional, recordOf } from '#runtime/json-check.ts'
import {
  type LoadTestAsked,
  type LoadTestPoint,
  type LoadTestState,
  loadTestBounds,
  loadTestShapes,
  loadTestStages,
} from '#schemas/load-tests.ts'

function within([least, most]: readonly [number, number]): JsonCheck<number> {
  return (value) => {
    const number = aCount(value)
    if (number < least || number > most) throw new TypeError(`must be from ${least} to ${most}`)
    return number
  }
}

export const loadTestAsked = recordOf<LoadTestAsked>({
  devices: within(loadTestBounds.devices),
  rate: within(loadTestBounds.rate),
  seconds: within(loadTestBounds.seconds),
  bodyBytes: within(loadTestBounds.bodyBytes),
  qos: within(loadTestBounds.qos),
  shape: oneOf(...loadTestShapes),
})

export const loadTestState = recordOf<LoadTestState>({
  run: aText,
  asked: loadTestAsked,
  stage: oneOf(...loadTestStages),
  startedAtMs: aNumber,
  sent: aCount,
  acknowledged: aCount,
  rows: optional(aCount),
  points: listOf(
    recordOf<LoadTestPoint>({ atS: aNumber, sent: aNumber, acknowledged: aNumber, p50Ms: aNumber, p99Ms: aNumber }),
  ),
  fault: optional(aText),
})
