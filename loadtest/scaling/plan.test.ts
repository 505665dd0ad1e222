import { describe, expect, test } from 'vitest'
import { planOf } from './plan.ts'
import { answerOf, isPlanLine, planHelp, planLineOf } from './plan-line.ts'
import { planFlags, planOptions, planQuestion } from './plan-question.ts'
import { knownCosts } from './scaling-run.fake.ts'

const planFor = (asked: Parameters<typeof planQuestion>[0]) => planOf(knownCosts, planQuestion(asked))
const part = (plan: ReturnType<typeof planOf>, name: string) => plan.parts.find((each) => each.name === name)!

describe('a plan', () => {
  test('adds up the costs of the model', () => {
    const plan = planFor({ rate: 1e6, devices: 1e5, body: 100, 'messages-per-read': 10 })
    const { work } = plan
    const readsPerSecond = 1e5 + 1e5 / 240
    expect(work.readsPerSecond).toBeCloseTo(readsPerSecond)
    const [message = 0, byte = 0, read = 0, batch = 0, connection = 0, edge = 0] = knownCosts.edgeCores
    const expected =
      1e6 * message +
      1e8 * byte +
      readsPerSecond * read +
      work.batchesPerSecond * batch +
      1e5 * connection +
      work.edges * edge
    expect(part(plan, 'edge processes').cores).toBeCloseTo(expected)
    expect(part(plan, 'edge processes').count).toBeGreaterThanOrEqual(expected / 0.5)
    expect(part(plan, 'Kafka brokers').diskBytes).toBeCloseTo(work.logBytesPerSecond * 86_400 * 3, -3)
  })

  test('has as many edges as its devices ask for, also when they send nothing', () => {
    const plan = planFor({ rate: 0, devices: 1e8, 'edge-connections': 50_000 })
    expect(plan.work.edges).toBe(2_000)
    expect(plan.work.batchesPerSecond).toBe(0)
    expect(part(plan, 'control store').diskBytes).toBe(1e8 * planOptions['device-bytes'].standard)
  })

  test('a batch never has less than one message, and small ones are told', () => {
    const plan = planFor({ rate: 1e7, devices: 1e8 })
    expect(plan.messagesABatch).toBeGreaterThanOrEqual(1)
    expect(plan.hints.join()).toContain('--batch-delay-ms')
    expect(planFor({ rate: 1e6, 'messages-per-read': 64, 'batch-delay-ms': 1_000 }).hints.join()).not.toContain('batch')
  })

  test('no part shrinks when more is asked', () => {
    const plans = [1e4, 1e5, 1e6, 1e7, 1e8].map((rate) => planFor({ rate }))
    for (const [index, plan] of plans.slice(1).entries())
      for (const { name, count } of plan.parts) expect(count).toBeGreaterThanOrEqual(part(plans[index]!, name).count)
  })
})

describe('the command line of a plan', () => {
  test('takes numbers with exponents, and what it is not told has its standard', () => {
    expect(isPlanLine(['--rate', '1'])).toBe(false)
    const args = ['--plan', '--rate', '10e6', '--devices', '100e6', '--body', '200', '--retention-hours', '24']
    expect(isPlanLine(args)).toBe(true)
    expect(planLineOf(args)?.question).toEqual(
      planQuestion({ rate: 1e7, devices: 1e8, body: 200, 'retention-hours': 24 }),
    )
  })

  test.each([
    [['--rate', 'many'], '--rate many: allowed is a number from 0'],
    [['--headroom', '1'], '--headroom 1: allowed is a number from 0 to 0.95'],
    [['--devices', ''], '--devices : allowed'],
    [['--check', '4'], '--check 4: allowed is a number from 5 to 600'],
    [['--speed', '1'], '--speed'],
    [['--rate'], '--rate'],
  ])('refuses %j', (args, fault) => {
    expect(() => planLineOf(['--plan', ...args])).toThrow(fault)
  })

  test('names all faults at once', () => {
    expect(() => planLineOf(['--plan', '--rate=-1', '--log-replicas', '0'])).toThrow(/--rate -1.*\n--log-replicas 0/)
  })

  test('refuses points that cannot be read or are none', async () => {
    const line = planLineOf(['--plan'])!
    await expect(answerOf({ ...line, pointsFile: '/nowhere.json' })).rejects.toThrow('/nowhere.json: cannot be read')
    await expect(answerOf({ ...line, pointsFile: import.meta.filename })).rejects.toThrow('not a list of runs')
  })

  test('the help names every option', () => {
    for (const flag of planFlags) expect(planHelp()).toContain(`--${flag} `)
    expect(planLineOf(['--plan', '--help'])).toBeUndefined()
  })
})
