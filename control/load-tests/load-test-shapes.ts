/** What load tests look like over REST, for the document about the API. */
import {
  aCount,
  aFlag,
  aMoment,
  aNumber,
  aText,
  aTime,
  choiceOf,
  listOf,
  named,
  orNull,
  recordOf,
  type Shape,
} from '#runtime/api/shapes.ts'
import { loadTestBounds, loadTestShapes, loadTestStages } from '#schemas/load-tests.ts'

const bounded = ([minimum, maximum]: readonly [number, number]): Shape => ({ type: 'integer', minimum, maximum })

export const askedShape: Shape = named(
  'LoadTestAsked',
  recordOf({
    ...Object.fromEntries(Object.entries(loadTestBounds).map(([name, bounds]) => [name, bounded(bounds)])),
    shape: choiceOf(loadTestShapes),
  }),
)

const latencies = { p50Ms: aNumber, p99Ms: aNumber }
const point = { atS: aNumber, sent: aNumber, acknowledged: aNumber, ...latencies }

export const stateShape: Shape = named(
  'LoadTestState',
  recordOf(
    {
      run: aText,
      asked: askedShape,
      stage: choiceOf(loadTestStages),
      startedAtMs: aMoment,
      sent: aCount,
      acknowledged: aCount,
      points: listOf(recordOf(point)),
    },
    { rows: aCount, fault: aText },
  ),
)

const summary = {
  run: aText,
  startedAt: aTime,
  verdict: choiceOf(['passed', 'failed', 'invalid']),
  devices: aCount,
  asked: aText,
  acknowledgedPerSecond: aNumber,
  storedPerSecond: orNull(aNumber),
  acknowledgedMsP99: aNumber,
  rowMsP99: orNull(aNumber),
  lost: orNull(aCount),
  repeated: orNull(aCount),
}

export const listShape: Shape = recordOf(
  {
    results: listOf(named('LoadTestSummary', recordOf(summary))),
    more: aCount,
    unreadable: aCount,
    canStart: aFlag,
  },
  { running: stateShape },
)

const figure = {
  name: aText,
  before: aText,
  now: aText,
  change: aText,
  kind: choiceOf(['better', 'worse', 'same']),
}

export const detailShape: Shape = recordOf({
  ...summary,
  version: aText,
  commit: aText,
  machine: aText,
  warnings: listOf(aText),
  stages: listOf(recordOf({ name: aText, messages: aCount })),
  latencies: listOf(recordOf({ name: aText, ...latencies, p999Ms: aNumber, maxMs: aNumber })),
  ledger: listOf(recordOf({ name: aText, count: aCount, isFault: aFlag })),
  points: listOf(recordOf({ ...point, offered: aNumber })),
  rows: listOf(recordOf({ atS: aNumber, rows: aCount })),
  processes: listOf(
    recordOf({ name: aText, cpuShare: aNumber, residentBytes: aNumber, messagesPerCpuSecond: aNumber }),
  ),
  thresholds: listOf(recordOf({ name: aText, value: aText, isMet: aFlag })),
  compared: orNull(
    recordOf({ run: aText, differences: listOf(aText), areBothValid: aFlag, figures: listOf(recordOf(figure)) }),
  ),
})
