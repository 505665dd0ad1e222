import { expect, test } from 'vitest'
import { isScenarioLine, scenarioHelp, scenarioLineOf } from './scenario-line.ts'
import { scenarios } from './scenario-list.ts'

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
  const args = names.flatMap((name) => [`--${name}`, '7'])
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

test('a list or help is asked for; an unknown name and bad numbers are refused with what there is', () => {
  expect(isScenarioLine(['--rate', '5'])).toBe(false)
  expect(isScenarioLine(['--scenario=list'])).toBe(true)
  expect(scenarioLineOf(['--scenario', 'list'])).toBeUndefined()
  expect(scenarioLineOf(['--scenario', 'kill-edge', '--help'])).toBeUndefined()
  expect(() => scenarioLineOf(['--scenario', 'kill'])).toThrow(/kill-edge/)
  expect(() => scenarioLineOf(['--scenario', 'kill-edge', '--kills=-1', '--rate', 'x'])).toThrow(/--kills[\s\S]*--rate/)
  expect(() => scenarioLineOf(['--scenario', 'kill-edge', '--burst', '3'])).toThrow(/burst/)
})
