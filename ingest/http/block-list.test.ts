import { describe, expect, test } from 'vitest'
import { limits } from '#schemas/limits.ts'
import { blockIdsFrom, isBlockId } from './block-list.ts'

const declaration = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
const listOf = (count: number): string => `<BlockList>${'<Latest>AAAA</Latest>'.repeat(count)}</BlockList>`

describe('a list of blocks', () => {
  test('is read as storage clients write it', () => {
    expect(blockIdsFrom(`${declaration}<BlockList><Latest>YQ==</Latest><Latest>YWI=</Latest></BlockList>`)).toEqual([
      'YQ==',
      'YWI=',
    ])
    const spread = `\uFEFF${declaration}\n<BlockList>\n  <Committed>YQ==</Committed>\n  <Uncommitted>YQ==</Uncommitted>\n</BlockList>\n`
    expect(blockIdsFrom(spread)).toEqual(['YQ==', 'YQ=='])
    expect(blockIdsFrom('<BlockList></BlockList>')).toEqual([])
    expect(blockIdsFrom(listOf(limits.uploadBlocksMax))).toHaveLength(limits.uploadBlocksMax)
  })

  test.each([
    ['nothing', ''],
    ['something else', '<Blocks/>'],
    ['cut short', '<BlockList><Latest>YQ==</Latest>'],
    ['another element', '<BlockList><Newest>YQ==</Newest></BlockList>'],
    ['elements that do not match', '<BlockList><Latest>YQ==</Committed></BlockList>'],
    ['an id that is no base64', '<BlockList><Latest>../x</Latest></BlockList>'],
    ['an id that is too long', `<BlockList><Latest>${'A'.repeat(92)}</Latest></BlockList>`],
    ['an empty id', '<BlockList><Latest></Latest></BlockList>'],
    ['a document type with entities', `<!DOCTYPE x [<!ENTITY a "b">]>${listOf(1)}`],
    ['something behind it', `${listOf(1)}<x/>`],
    ['too many', listOf(limits.uploadBlocksMax + 1)],
  ])('is not %s', (_what, xml) => {
    expect(blockIdsFrom(xml)).toBe(undefined)
  })

  test('has ids of up to 64 bytes', () => {
    expect(isBlockId(Buffer.alloc(64, 255).toString('base64'))).toBe(true)
    expect(isBlockId(Buffer.alloc(67, 255).toString('base64'))).toBe(false)
    expect(['', '=', 'a b', 'YQ===', 'é'].map(isBlockId)).toEqual([false, false, false, false, false])
  })
})
