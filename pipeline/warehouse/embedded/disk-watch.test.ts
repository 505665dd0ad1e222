import { afterEach, describe, expect, it } from 'vitest'
import { silentLogger } from '#runtime/logger.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { limits } from '#schemas/limits.ts'
import { DiskWatch } from './disk-watch.ts'

const roomy = 100 * limits.diskLowBytes
const low = limits.diskLowBytes - 1
const exhausted = limits.diskExhaustedBytes - 1

let free = roomy
const said: string[] = []
let mergesStop: () => void = () => {}
const clock = virtualClock()

function watch(): DiskWatch {
  free = roomy
  said.length = 0
  return new DiskWatch({
    freeBytes: () => free,
    clock,
    logger: silentLogger,
    stopMerges: () => {
      said.push('stop merges')
      return new Promise((resolve) => {
        mergesStop = resolve
      })
    },
    startMerges: async () => {
      said.push('start merges')
    },
    onExhausted: () => {
      throw new Error('killed')
    },
  })
}

let disk: DiskWatch
afterEach(async () => {
  mergesStop()
  await disk.close()
})

describe('the embedded engine’s disk', () => {
  it('is written to while there is room', async () => {
    disk = watch()
    expect(await disk.writing(async () => 'written')).toBe('written')
  })

  it('is not written to once it is nearly full, and merges stop; twice as much room ends that', async () => {
    disk = watch()
    free = low
    await expect(disk.writing(async () => 'written')).rejects.toMatchObject({ number: 243 })
    expect(said).toEqual(['stop merges'])
    mergesStop()
    free = 2 * limits.diskLowBytes - 1
    await expect(disk.writing(async () => 'written')).rejects.toMatchObject({ number: 243 })
    free = 2 * limits.diskLowBytes
    expect(await disk.writing(async () => 'written')).toBe('written')
    expect(said).toEqual(['stop merges', 'start merges'])
  })

  it('does not confirm what was written while it was full: the engine is killed first', async () => {
    disk = watch()
    const written = disk.writing(async () => {
      free = exhausted
    })
    await expect(written).rejects.toThrow('killed')
    free = roomy
  })

  it('may be full while merges are stopped and nothing is written', async () => {
    disk = watch()
    free = low
    await expect(disk.writing(async () => 'written')).rejects.toMatchObject({ number: 243 })
    mergesStop()
    await new Promise(setImmediate)
    free = exhausted
    await expect(disk.writing(async () => 'written')).rejects.toMatchObject({ number: 243 })
  })

  it('may not be full while a merge still runs', async () => {
    disk = watch()
    free = low
    await expect(disk.writing(async () => 'written')).rejects.toMatchObject({ number: 243 })
    free = exhausted
    await expect(disk.writing(async () => 'written')).rejects.toThrow('killed')
    free = roomy
  })

  it('is looked at more often the less is free', async () => {
    let looks = 0
    const counting = (bytes: number) =>
      new DiskWatch({
        freeBytes: () => {
          looks++
          return bytes
        },
        clock,
        logger: silentLogger,
        stopMerges: async () => {},
        startMerges: async () => {},
        onExhausted: () => {},
      })
    const looksIn = async (bytes: number) => {
      looks = 0
      disk = counting(bytes)
      const untilMs = clock.nowMs() + 1_000
      while (clock.step(untilMs));
      await disk.close()
      return looks
    }
    expect(await looksIn(1024 ** 4)).toBe(2)
    expect(await looksIn(limits.diskExhaustedBytes)).toBe(101)
  })
})
