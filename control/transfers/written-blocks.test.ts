import { expect, test } from 'vitest'
import type { TransferPosition } from './transfers.ts'
import { behindBlockOf, blocksOf } from './written-blocks.ts'

const at = (blocks: number, runs: TransferPosition['runs'] = []): TransferPosition => ({
  ...{ bytes: 0, lines: 0, etag: '', continuation: '', phase: 'devices', pending: '' },
  ...{ blocks, runs },
})
const named = (position: TransferPosition) => blocksOf(position, 'job').map(({ writer, index }) => `${writer}-${index}`)

test('blocks are those of the attempts that put them, in their order', () => {
  let position = at(0)
  expect(named(position)).toEqual([])
  for (const writer of ['a', 'a', 'b', 'a']) position = behindBlockOf(writer, position, 'job')
  expect(named(position)).toEqual(['a-0', 'a-1', 'b-2', 'a-3'])
  expect(position.runs).toHaveLength(3)
})

test('blocks that an earlier version put, before those of attempts or between them, have the name of the job', () => {
  expect(named(at(2))).toEqual(['job-0', 'job-1'])
  const position = behindBlockOf('a', at(2), 'job')
  expect(named(position)).toEqual(['job-0', 'job-1', 'a-2'])
  expect(named(behindBlockOf('b', { ...position, blocks: 5 }, 'job'))).toEqual([
    ...['job-0', 'job-1', 'a-2', 'job-3', 'job-4', 'b-5'],
  ])
})
