import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import {
  activityRecord,
  activityTuple,
  controlSocketPath,
  idFromTuple,
  idTuple,
  onLines,
  presenceRecord,
  presenceTuple,
  writeLine,
} from './directory-contract.ts'

/** A socket that says what it is told to, already decoded, as `setEncoding` has it. */
class FakeSocket extends EventEmitter {
  encoding = ''
  destroyed = false
  readonly written: string[] = []

  setEncoding(encoding: string): void {
    this.encoding = encoding
  }

  write(text: string): void {
    this.written.push(text)
  }

  destroy(): void {
    this.destroyed = true
  }
}

function lines(...chunks: readonly string[]) {
  const socket = new FakeSocket()
  const values: unknown[] = []
  onLines(socket as unknown as Socket, (value) => values.push(value))
  for (const chunk of chunks) socket.emit('data', chunk)
  return { values, socket }
}

describe('lines of the directory', () => {
  test('are values, however they are cut', () => {
    const text = '{"n":1}\n[2]\n"é\\n"\n'
    const values = [{ n: 1 }, [2], 'é\n']
    expect(lines(text)).toMatchObject({ values, socket: { encoding: 'utf8', destroyed: false } })
    for (let cut = 0; cut <= text.length; cut++)
      for (let second = cut; second <= text.length; second++)
        expect(lines(text.slice(0, cut), text.slice(cut, second), text.slice(second)).values).toEqual(values)
    expect(lines(...text).values).toEqual(values)
  })

  test('are given once they are whole', () => {
    const { values, socket } = lines('{"n"', ':1}')
    expect(values).toEqual([])
    socket.emit('data', '\n{"n":2}')
    expect(values).toEqual([{ n: 1 }])
  })

  test('that are no JSON end the stream, and nothing behind them is read', () => {
    const { values, socket } = lines('1\nx\n2\n')
    expect([values, socket.destroyed]).toEqual([[1], true])
  })

  test('have a bounded length, which begins anew with each [G-4]', () => {
    const megabytes = (count: number) => 'x'.repeat(count * 1024 * 1024)
    const { values, socket } = lines(`"${megabytes(32)}`, `${megabytes(32).slice(2)}"`, '\n"', megabytes(63))
    expect([values.length, socket.destroyed]).toEqual([1, false])
    socket.emit('data', megabytes(1))
    expect(socket.destroyed).toBe(true)
  })

  test('are written to a stream that is open only', () => {
    const socket = new FakeSocket()
    writeLine(socket as unknown as Socket, { n: 1, trust: 1 })
    socket.destroyed = true
    writeLine(socket as unknown as Socket, { n: 2, trust: 1 })
    expect(socket.written).toEqual(['{"n":1,"trust":1}\n'])
  })
})

test('records come back from their tuples, of devices and of modules', () => {
  for (const moduleId of [undefined, 'm']) {
    const id = { deviceId: 'd', moduleId }
    expect(idFromTuple(JSON.parse(JSON.stringify(idTuple(id))))).toEqual(id)
    const activity = { ...id, atMs: 5 }
    expect(activityRecord(JSON.parse(JSON.stringify(activityTuple(activity))))).toEqual(activity)
    for (const connected of [true, false]) {
      const presence = { ...activity, connected, edgeId: 'edge-0' }
      expect(presenceRecord(JSON.parse(JSON.stringify(presenceTuple(presence))))).toEqual(presence)
    }
  }
})

test('a folder whose name is too long for a socket gets one elsewhere, each its own', () => {
  const longest = '/'.padEnd(103 - '/control.sock'.length, 'd')
  expect(controlSocketPath(longest)).toBe(join(longest, 'control.sock'))
  const elsewhere = [`${longest}1`, `${longest}2`, `${longest.slice(0, -2)}é0`].map(controlSocketPath)
  expect(new Set(elsewhere).size).toBe(3)
  for (const path of elsewhere) expect(path.startsWith(join(tmpdir(), 'penstock-'))).toBe(true)
  expect(controlSocketPath(`${longest}1`)).toBe(elsewhere[0])
})
