import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterAll, expect, it } from 'vitest'
import { untilWhole } from './result-spool.ts'

const folder = mkdtempSync(join(tmpdir(), 'penstock-spool-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

it('nothing is seen of a result before its end, then all of it, and no file is left', async () => {
  let ended = false
  async function* source() {
    for (let part = 0; part < 50; part++) yield Buffer.alloc(10_000, part)
    ended = true
  }
  const parts: Buffer[] = []
  const faults: unknown[] = []
  for await (const part of untilWhole(
    source(),
    join(folder, 'a'),
    () => {},
    (fault) => faults.push(fault),
  )) {
    expect(ended).toBe(true)
    parts.push(part)
  }
  expect(Buffer.concat(parts).equals(Buffer.concat(await Readable.from(source()).toArray()))).toBe(true)
  expect(readdirSync(folder)).toEqual([])
  expect(faults).toEqual([])
})

it('a disk that fills up is told at once, and the source is read to its end', async () => {
  const noRoom = new Error('no room')
  const events: unknown[] = []
  async function* source() {
    for (let part = 0; part < 4; part++) {
      events.push(part)
      yield Buffer.from('x')
    }
  }
  const assertRoom = (): void => {
    if (events.includes(1)) throw noRoom
  }
  const result = untilWhole(source(), join(folder, 'b'), assertRoom, (fault) => events.push(fault))
  await expect(Readable.from(result).toArray()).rejects.toBe(noRoom)
  expect(events).toEqual([0, 1, noRoom, 2, 3])
  expect(readdirSync(folder)).toEqual([])
})
