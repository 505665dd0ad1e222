import { expect, test } from 'vitest'
import type { Assignment, Log } from '#pipeline/log/log.ts'
import { MemoryLog, MemoryStore } from '#pipeline/log/memory/memory-log.ts'
import { setPositions, whileStill } from './still-positions.ts'

const group = 'penstock.warehouse'
const note = (fields: object): string => JSON.stringify({ v: 1, delivered: '', ...fields })
const intent = note({ b: 6, token: 't', rows: 1, from: 1, to: 1 })

function logAt(offset: number, metadata = note({})) {
  const store = new MemoryStore('t', 2)
  store.positions.set(`${group} 0`, { offset, metadata })
  return { store, log: new MemoryLog({ store }) }
}

test('of logs that nobody delivers, positions are those of before and after; whoever delivers is found out by what moved, or is open', async () => {
  const { store, log } = logAt(5)
  const { positions, result } = await whileStill([{ log, group }], async () => 'copied')
  expect([positions, result]).toEqual([
    [{ topic: 't', groups: [{ group, positions: [{ offset: 5, metadata: note({}) }, undefined] }] }],
    'copied',
  ])
  const moved = whileStill([{ log, group }], async () => {
    store.positions.set(`${group} 1`, { offset: 1, metadata: note({}) })
  })
  await expect(moved).rejects.toMatchObject({ code: 'BACKUP_REFUSED', message: expect.stringContaining('moved') })
  const open = logAt(5, intent)
  let copied = false
  const refused = whileStill([{ log: open.log, group }], async () => {
    copied = true
  })
  await expect(refused).rejects.toMatchObject({ code: 'BACKUP_REFUSED', message: expect.stringContaining('open') })
  expect(copied).toBe(false)
})

test('positions are set back where nobody else is in the group, on no fewer partitions; those that were added are delivered from their beginning', async () => {
  const { log } = logAt(9)
  const wanted = { topic: 't', groups: [{ group, positions: [{ offset: 5, metadata: note({}) }, undefined] }] }
  await setPositions({ log, group }, wanted)
  expect(await log.positions(group)).toEqual(wanted.groups[0]?.positions)
  const more = { topic: 't', groups: [{ group, positions: [undefined, undefined, undefined] }] }
  await expect(setPositions({ log, group }, more)).rejects.toMatchObject({ code: 'BACKUP_REFUSED' })
  const before = { offset: 4, metadata: note({}) }
  await setPositions({ log, group }, { topic: 't', groups: [{ group, positions: [before] }] })
  expect(await log.positions(group)).toEqual([before, { offset: 0, metadata: '' }])
  await log.close()
})

test('a partition that is given again while positions are set back stands for no other', async () => {
  const set: number[] = []
  const given = (partition: number) =>
    ({ partition, commit: async () => void set.push(partition) }) as unknown as Assignment
  const log: Pick<Log, 'topic' | 'ranges' | 'join'> = {
    topic: 't',
    ranges: async () => [0, 0].map((first) => ({ first, next: 9 })),
    join: async (_group, onAssigned) => {
      onAssigned(given(0))
      onAssigned(given(0))
      setImmediate(() => onAssigned(given(1)))
      return { close: async () => {} }
    },
  }
  const position = { offset: 5, metadata: note({}) }
  await setPositions({ log: log as Log, group }, { topic: 't', groups: [{ group, positions: [position, position] }] })
  expect(set).toEqual([0, 0, 1])
})
