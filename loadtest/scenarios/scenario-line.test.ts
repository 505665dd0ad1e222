import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { judge } from '#loadtest/result/judge.ts'
import { fakeResult } from '#loadtest/result/load-result.fake.ts'
import { thresholdsOf } from '#loadtest/result/slo.ts'
import { Stage } from './scenario.ts'
import { isScenarioLine, scenarioHelp, scenarioLineOf } from './scenario-line.ts'
import { scenarios } from './scenario-list.ts'
import { verdictOf, verdictScreen } from './verdict.ts'

test('every scenario is in the help, has its own name, and its small run is smaller', () => {
  expect(new Set(scenarios.map(({ name }) => name)).size).toBe(scenarios.length)
  for (const { name, usual, small } of scenarios) {
    expect(scenarioHelp()).toContain(`\n  ${name} `)
    expect(small.messages).toBeLessThan(usual.messages)
    expect(small.faults).toBeLessThanOrEqual(usual.faults)
  }
})

test('every option the help names is understood', () => {
  const names = [...scenarioHelp().matchAll(/^ {2}--([a-z]+) +</gm)].map(([, name]) => name as string)
  const args = names
    .filter((name) => !['workload', 'slo', 'previous'].includes(name))
    .flatMap((name) => [`--${name}`, '7'])
  expect(names.length).toBeGreaterThan(6)
  const line = scenarioLineOf(['--scenario', 'kill-edge', '--small', ...args])
  expect(line?.options).toEqual({ seed: 7, faults: 7, messages: 7, rate: 7, connections: 7, kafka: '7' })
  expect(line?.jsonFile).toBe('7')
})

test('without numbers a scenario has its usual size, and a small one if asked', () => {
  const usual = scenarioLineOf(['--scenario', 'kill-edge'])
  expect(usual?.options).toEqual({ seed: 1, kafka: undefined, ...usual?.scenario.usual })
  const small = scenarioLineOf(['--scenario=kill-edge', '--small', '--kills', '9'])
  expect(small?.options).toEqual({ seed: 1, kafka: undefined, ...small?.scenario.small, faults: 9 })
})

test('a scenario that runs another version beside this one is told which; no other takes one', () => {
  expect(scenarioLineOf(['--scenario', 'upgrade', '--previous', 'v1'])?.options.previous).toBe('v1')
  expect(() => scenarioLineOf(['--scenario', 'upgrade'])).toThrow(/--previous: upgrade needs/)
  expect(scenarioLineOf(['--scenario', 'orderly-ends'])?.options.previous).toBeUndefined()
  expect(scenarioLineOf(['--scenario', 'orderly-ends', '--previous', 'v1'])?.options.previous).toBe('v1')
  expect(() => scenarioLineOf(['--scenario', 'soak', '--previous', 'v1'])).toThrow(/--previous: soak runs/)
})

test('a workload file says what devices send, and thresholds are judged; what contradicts it is refused', () => {
  const folder = mkdtempSync(join(tmpdir(), 'penstock-scenario-line-'))
  const file = join(folder, 'fleet.yaml')
  const line = (...more: string[]) =>
    scenarioLineOf(['--scenario', 'kill-edge', '--small', '--workload', file, ...more])
  try {
    writeFileSync(
      file,
      'slo: lost=0\nworkloads: [{name: a, connections: 5, rate: 50}, {name: b, connections: 2, rate: 7}]',
    )
    expect(line('--slo', 'puback_p99_ms=50')?.options).toMatchObject({
      workload: { workloads: [{ name: 'a' }, { name: 'b' }] },
      rate: 57,
      connections: 7,
      thresholds: [{ name: 'lost' }, { name: 'puback_p99_ms', limit: 50 }],
    })
    expect(() => line('--rate', '5', '--connections', '5', '--slo', 'fast=1')).toThrow(
      /--rate: the workload[\s\S]*--connections: the workload[\s\S]*fast=1/,
    )
    writeFileSync(
      file,
      'workloads: [{name: a, connections: 5, url: "mqtt://h:1"}, {name: b, kind: methods, connections: 1}]',
    )
    expect(() => line()).toThrow(
      /workloads\[0\].url: a scenario has its own[\s\S]*workloads\[1\].kind: a scenario sends telemetry/,
    )
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('a verdict is clean only if thresholds are met, too', () => {
  const [scenario] = scenarios
  const stage = new Stage({ seed: 1, ...scenario!.small, faults: 0, kafka: undefined })
  const result = fakeResult()
  const judged = (text: string) => {
    const load = { ...result, thresholds: judge(thresholdsOf(text), result) }
    return verdictOf(scenario!, stage, load, undefined)
  }
  expect(judged('puback_max_ms=500').isClean).toBe(true)
  expect(judged('puback_max_ms=50').isClean).toBe(false)
  expect(verdictScreen(judged('puback_max_ms=50'))).toContain('MISSED   puback_max_ms 80, asked for ≤ 50')
  return stage.close()
})

test('a list or help is asked for; an unknown name and bad numbers are refused with what there is', () => {
  expect(isScenarioLine(['--rate', '5'])).toBe(false)
  expect(isScenarioLine(['--scenario=list'])).toBe(true)
  expect(scenarioLineOf(['--scenario', 'list'])).toBeUndefined()
  expect(scenarioLineOf(['--scenario', 'kill-edge', '--help'])).toBeUndefined()
  expect(() => scenarioLineOf(['--scenario', 'kill'])).toThrow(/kill-edge/)
  expect(() => scenarioLineOf(['--scenario', 'kill-edge', '--kills=-1', '--rate', 'x'])).toThrow(/--kills[\s\S]*--rate/)
  expect(() => scenarioLineOf(['--scenario', 'kill-edge', '--burst', '3'])).toThrow(/burst/)
})
