import { mkdtempSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { ResultFifos } from './result-fifos.ts'

const folder = mkdtempSync(join(tmpdir(), 'penstock-fifos-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

it('a pipe that could not be opened is there for the next result', async () => {
  const fifos = new ResultFifos(folder, 1)
  renameSync(join(folder, 'result-0.fifo'), join(folder, 'away'))
  expect(() => fifos.open()).toThrow('ENOENT')
  renameSync(join(folder, 'away'), join(folder, 'result-0.fifo'))
  const fifo = fifos.open()
  fifo.finish()
  expect(await fifo.stream.toArray()).toEqual([])
})
