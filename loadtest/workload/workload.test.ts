import { expect, test } from 'vitest'
import { RateSchedule } from '#loadtest/generate/schedule.ts'
import { loadDefaults, segmentsOf } from '#loadtest/options/load-options.ts'
import { shapeNames, spikeSegments, workloadsOfShape } from './shapes.ts'
import { workloadFileOf, workloadsOf } from './workload-file.ts'

const faultsOf = (document: unknown, file = 'w.json') => {
  try {
    workloadFileOf(typeof document === 'string' ? document : JSON.stringify(document), file)
    return []
  } catch (error) {
    expect(error).toMatchObject({ code: 'LOADTEST_OPTIONS_INVALID' })
    return (error as Error).message.split('\n')
  }
}

test('a mix becomes workloads whose devices do not overlap, on top of the command line', () => {
  const file = workloadFileOf(
    JSON.stringify({
      seconds: 30,
      slo: 'lost=0',
      workloads: [
        { name: 'meters', connections: 100, rate: 500, skew: 1.1, connectRate: 20 },
        { name: 'cameras', connections: 5, saturate: true, bodyBytes: 4096, delaySeconds: 10 },
        { name: 'rush', connections: 10, rate: 10, shape: { kind: 'ramp', from: 0, to: 90 }, bodyTemplate: '{"n":1}' },
      ],
    }),
    'w.json',
  )
  const [meters, cameras, rush] = workloadsOf(file, {
    ...loadDefaults,
    run: 'r',
    protocol: 5,
    bodyTemplate: '{}',
  })
  expect(meters).toMatchObject({
    firstDevice: 0,
    rate: 500,
    skew: 1.1,
    connectRate: 20,
    seconds: 30,
    protocol: 5,
    workload: 'meters',
  })
  expect(cameras).toMatchObject({ firstDevice: 100, rate: 'saturate', seconds: 20, delaySeconds: 10, bodyBytes: 4096 })
  expect(rush).toMatchObject({ firstDevice: 105, shape: [{ seconds: 30, from: 0, to: 90 }], bodyTemplate: '{"n":1}' })
  expect(meters).toMatchObject({ bodyTemplate: '{}' })
  expect(cameras?.bodyTemplate).toBeUndefined()
})

test('a workload of another kind than telemetry has no template of the command line, and a body that its kind takes', () => {
  const files = (workload: object) => ({ workloads: [{ name: 'a', connections: 1, rate: 1, ...workload }] })
  const [calls] = workloadsOf(workloadFileOf(JSON.stringify(files({ kind: 'methods' })), 'w.json'), {
    ...loadDefaults,
    bodyTemplate: '{}',
  })
  expect(calls).toMatchObject({ kind: 'methods', bodyTemplate: undefined, bodyBytes: loadDefaults.bodyBytes })
  expect(faultsOf(files({ kind: 'method' }))).toEqual([
    'w.json: workloads[0].kind: "method" is not one of telemetry, reported, desired, methods, commands',
  ])
  expect(faultsOf(files({ kind: 'desired', bodyBytes: 4096 }))).toEqual([])
  expect(faultsOf(files({ kind: 'desired', bodyBytes: 4097 }))).toEqual([
    'w.json: workloads[0].bodyBytes: 4097 is more than desired take, 4096',
  ])
})

test('all faults of a file are named with their places and what is allowed', () => {
  expect(faultsOf({ seconds: 0, speed: 1, workloads: [{ name: 'a', connections: '5', qos: 2 }, {}] })).toEqual([
    'w.json: seconds: 0 is not from 1 to 2592000',
    'w.json: speed: is not known; there is seconds, warmUpSeconds, seed, slo, workloads',
    'w.json: workloads[0].connections: expected an integer, found a string',
    'w.json: workloads[0].qos: 2 is not one of 0, 1',
    'w.json: workloads[1].name: is missing',
    'w.json: workloads[1].connections: is missing',
  ])
  expect(faultsOf({ workloads: [] })[0]).toContain('workloads: has 0 entries')
  expect(faultsOf([])[0]).toContain('the file: expected an object, found an array')
  expect(faultsOf('{')[0]).toContain('not JSON')
})

test('a file named .yaml or .yml says the same in YAML, by the same schema', () => {
  const yaml = `
seconds: 30
workloads:
  - &meters
    name: meters # of one house
    connections: 100
    bodyTemplate: '{"t": \${float(18,26,1)}}'
  - { name: roamers, connections: 5, storms: [{ atSeconds: 10, share: 0.5 }], slowReading: [{ atSeconds: 1, forSeconds: 2, share: 1 }] }
`
  const json = {
    seconds: 30,
    workloads: [
      { name: 'meters', connections: 100, bodyTemplate: `{"t": \${float(18,26,1)}}` },
      {
        name: 'roamers',
        connections: 5,
        storms: [{ atSeconds: 10, share: 0.5 }],
        slowReading: [{ atSeconds: 1, forSeconds: 2, share: 1 }],
      },
    ],
  }
  for (const file of ['w.yaml', 'W.YML']) expect(workloadFileOf(yaml, file)).toEqual(json)
  expect(faultsOf('workloads:\n  - name: a\n    connections: many\n', 'w.yml')).toEqual([
    'w.yml: workloads[0].connections: expected an integer, found a string',
  ])
  expect(faultsOf('', 'w.yml')).toEqual(['w.yml: the file: expected an object, found null'])
})

test.each([
  ['seconds: 1\nseconds: 2\n', 'Map keys must be unique at line 2, column 1'],
  ['seconds: !years 1', 'Unresolved tag: !years at line 1, column 10'],
  ['seconds: *none', 'Unresolved alias'],
])('what is no YAML is refused with its line: %j', (yaml, fault) => {
  const faults = faultsOf(yaml, 'w.yaml')
  expect(faults.length).toBe(1)
  expect(faults[0]).toContain(`w.yaml: not YAML: ${fault}`)
})

test('what the schema cannot say is checked, too', () => {
  const device = { name: 'a', connections: 1 }
  const faults = faultsOf({
    seconds: 5,
    workloads: [
      { ...device, saturate: true, rate: 5 },
      { ...device, delaySeconds: 5 },
      { ...device, name: 'b', shape: { kind: 'spike', peak: 5, to: 3 } },
      { ...device, name: 'c', bodyBytes: 50, bodyTemplate: `\${x}` },
    ],
  })
  for (const part of [
    'saturate goes with',
    'delaySeconds: 5 is not below',
    'already the name',
    'shape.atSeconds: is missing',
    'shape.to: does not belong',
    'workloads[3].bodyBytes: the body template',
    `workloads[3].bodyTemplate: character 1, \${x}: there is int`,
  ])
    expect(faults.join('\n')).toContain(part)
})

test.each(shapeNames)('%s: devices do not overlap, and nothing is sent after the end', (name) => {
  const workloads = workloadsOfShape(name, { ...loadDefaults, run: 'r', rate: 1_000, seconds: 30 })
  let nextDevice = 0
  for (const options of workloads) {
    expect(options.firstDevice).toBe(nextDevice)
    nextDevice += options.connections
    const schedule = new RateSchedule(segmentsOf(options) ?? [], 1)
    expect(schedule.total).toBeGreaterThan(0)
    expect(schedule.seconds).toBeCloseTo(options.seconds, 6)
    expect(options.delaySeconds + schedule.seconds).toBeLessThanOrEqual(30 + 1e-9)
    for (const { atSeconds } of [...options.storms, ...options.slowReading]) expect(atSeconds).toBeLessThan(30)
  }
})

test('a spike ends with the run at the latest', () => {
  expect(spikeSegments(1, 9, 10, 8, 5)).toEqual([
    { seconds: 8, from: 1, to: 1 },
    { seconds: 2, from: 9, to: 9 },
  ])
  expect(spikeSegments(1, 9, 10, 0, 50)).toEqual([{ seconds: 10, from: 9, to: 9 }])
})
