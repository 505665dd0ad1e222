import { expect, onTestFinished, test } from 'vitest'
import { silentLogger } from '#runtime/logger.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { emptyGroup, type GroupMemberState, type GroupState, groupStep } from './group.ts'
import { GroupRunner, type GroupStore } from './group-runner.ts'

const sessionMs = 10_000

/** A store that rests, with a member that never beats beside the one that is tested. */
function restingStore(atMs: () => number) {
  let state = emptyGroup(1)
  const beatsAtMs: number[] = []
  const stepDead: (readonly string[])[] = []
  let looks = 0
  const silent: GroupMemberState = { id: 'silent', process: 'p' }
  state = groupStep(state, silent, new Set())
  const store: GroupStore = {
    isResting: () => true,
    state: () => {
      looks++
      return state
    },
    step: async (_group, member, dead): Promise<GroupState> => {
      stepDead.push([...dead])
      state = groupStep(state, member, dead)
      return state
    },
    beat: async () => void beatsAtMs.push(atMs()),
    beatOf: () => 0,
    leave: async () => {},
    position: () => undefined,
    commit: async () => {},
    read: async () => [],
  }
  return { store, beatsAtMs, stepDead, looks: () => looks }
}

async function joined() {
  const clock = virtualClock()
  const resting = restingStore(() => clock.monotonicMs())
  const runner = new GroupRunner(resting.store, {
    group: 'g',
    process: 'p',
    clock,
    logger: silentLogger,
    sessionMs,
    onAssigned: () => {},
  })
  await runner.start()
  onTestFinished(() => runner.close())
  const step = async (): Promise<void> => {
    clock.step()
    await new Promise(setImmediate)
  }
  return { ...resting, clock, runner, step }
}

test('a member of a log that rests looks seldom, and beats thrice a session', async () => {
  const { clock, step, looks, beatsAtMs } = await joined()
  while (clock.monotonicMs() < 60_000) await step()
  expect(looks()).toBeLessThanOrEqual(60 * 4)
  for (const [index, beatAtMs] of beatsAtMs.entries())
    expect(beatAtMs - (beatsAtMs[index - 1] ?? 0)).toBeLessThanOrEqual(sessionMs / 3 + sessionMs / 30)
  expect(beatsAtMs.length).toBeGreaterThanOrEqual(18)
})

test('a member that is made to look often beats no later, and takes nobody for dead any sooner', async () => {
  const { clock, runner, step, beatsAtMs, stepDead } = await joined()
  // Just before each of its own looks.
  while (clock.monotonicMs() < 60_000) {
    clock.after(sessionMs / 30 - 50, () => runner.look())
    await step()
    if (clock.monotonicMs() < sessionMs - sessionMs / 30) expect(stepDead.flat()).toEqual([])
  }
  for (const [index, beatAtMs] of beatsAtMs.entries())
    expect(beatAtMs - (beatsAtMs[index - 1] ?? 0)).toBeLessThanOrEqual(sessionMs / 3 + sessionMs / 30)
  expect(stepDead.flat()).toContain('silent')
})
