/** Writes to twins that another transaction holds, over a store that says which those are. */
import { afterEach, expect, test } from 'vitest'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { identityText } from '#schemas/identity-id.ts'
import { limits } from '#schemas/limits.ts'
import { ServiceWrites } from './service-writes.ts'
import { held, type TwinWrite, type WriteOutcome } from './twin-writes.ts'

const clock = virtualClock()
const holders = new Set<string>()
/** Each attempt, as what it wrote. */
const attempts: string[][] = []
let fault: Error | undefined
afterEach(() => {
  holders.clear()
  attempts.length = 0
  fault = undefined
})

const writes = new ServiceWrites(async (asked) => {
  await turns()
  if (fault !== undefined) throw fault
  const free = asked.filter(({ id }) => !holders.has(identityText(id)))
  attempts.push(free.map(textOf))
  return asked.map((write) => (free.includes(write) ? (write as unknown as WriteOutcome) : held))
}, clock)

const textOf = ({ id, patch }: TwinWrite): string => `${id.deviceId}${patch.tags?.n}`

function write(deviceId: string, n: number): Promise<string> {
  const asked = {
    id: { deviceId, moduleId: undefined },
    kind: 'patch',
    patch: { tags: { n } },
    ifMatch: undefined,
  } as const
  return writes.write(asked).then((outcome) => textOf(outcome as unknown as TwinWrite))
}

async function turns(): Promise<void> {
  for (let count = 0; count < 5; count++) await new Promise(setImmediate)
}

/** Steps the clock until it is over. */
async function settled<T>(promise: Promise<T>): Promise<T> {
  let isOver = false
  const over = (): void => {
    isOver = true
  }
  promise.then(over, over)
  while (!isOver) {
    await turns()
    clock.step()
  }
  return promise
}

test('a held twin keeps its own writes waiting, also those that come later, and no others', async () => {
  holders.add('a')
  const ofHeld = [write('a', 1), write('a', 2)]
  expect(await settled(write('b', 1))).toBe('b1')
  ofHeld.push(write('a', 3))
  expect(await settled(write('b', 2))).toBe('b2')
  // Free from here on: what comes now must not overtake.
  holders.delete('a')
  ofHeld.push(write('a', 4))
  expect(await settled(Promise.all(ofHeld))).toEqual(['a1', 'a2', 'a3', 'a4'])
  expect(attempts.flat().filter((text) => text.startsWith('a'))).toEqual(['a1', 'a2', 'a3', 'a4'])
  expect(await settled(write('a', 5))).toBe('a5')
})

test('one that is held all the time is told so after its time, and the next one goes on', async () => {
  holders.add('a')
  const beganMs = clock.monotonicMs()
  await expect(settled(write('a', 1))).rejects.toMatchObject({ code: 'TWIN_CONFLICT' })
  const waitedMs = clock.monotonicMs() - beganMs
  expect(waitedMs).toBeGreaterThanOrEqual(limits.twinHeldMsMax)
  expect(waitedMs).toBeLessThan(limits.twinHeldMsMax + 1_000)
  holders.delete('a')
  expect(await settled(write('a', 2))).toBe('a2')
})

test('a store that fails meanwhile is told to those that wait', async () => {
  holders.add('a')
  const ofHeld = Promise.allSettled([write('a', 1), write('a', 2)])
  await settled(write('b', 1))
  fault = new Error('gone')
  expect(await settled(ofHeld)).toMatchObject([{ reason: fault }, { reason: fault }])
})
