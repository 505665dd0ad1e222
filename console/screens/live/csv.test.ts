import { expect, test } from 'vitest'
import type { Message } from '#console/data/tail.ts'
import { messagesCsv } from './csv.ts'

const message: Message = {
  id: 1,
  device: '=cmd()',
  at: 0,
  body: 'a "quoted", text\nof two lines',
  encoding: 'utf8',
  bytes: 1,
  properties: { a: 'b' },
  system: {},
  partition: 0,
  offset: 0,
}

test('cells are quoted where they must be, and none is a formula to a spreadsheet', () => {
  const [, row] = messagesCsv([message]).split('\r\n')
  expect(row).toBe(`1970-01-01T00:00:00.000Z,'=cmd(),"a ""quoted"", text\nof two lines",utf8,"{""a"":""b""}",{}`)
  expect(messagesCsv([{ ...message, body: '-21.5' }])).toContain(',-21.5,')
})
