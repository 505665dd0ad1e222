import { describe, expect, test } from 'vitest'
import { conditionFrom } from './cases-fixture.ts'
import { type Condition, readCondition } from './condition.ts'
import { factsOf } from './message-facts.ts'
import { Needs } from './needs.ts'

function read(text: string, needs: Needs): Condition {
  return conditionFrom(readCondition(text, 'TwinChangeEvents', { needs }))
}

describe('what conditions need', () => {
  test('is known before there is a message, by name and by path', () => {
    const needs = new Needs()
    const text = "Level = 'x' AND $connectionDeviceId = {$MessageId} OR $Body.a.B[2].c > 1 OR $Twin.Tags.Site[0] = 1"
    expect(read(text, needs).uses).toEqual({
      properties: [0, 1],
      systemProperties: [0, 1],
      bodyPaths: [0],
      twinPaths: [0],
    })
    expect(needs).toEqual(
      expect.objectContaining({
        properties: ['level', '$connectiondeviceid'],
        systemProperties: ['connectiondeviceid', 'messageid'],
        bodyPaths: [['a', 'B', 2, 'c']],
        twinPaths: [['tags', 'site', 0]],
      }),
    )
  })

  test('is one list for all that are read together, each name and path once', () => {
    const needs = new Needs()
    expect(read("level = 'x' AND $body.a = 1", needs).uses).toMatchObject({ properties: [0], bodyPaths: [0] })
    expect(read('twin_change_includes(tags.x) OR $body.b = 1', needs).uses.bodyPaths).toEqual([1, 2])
    expect(read('LEVEL = other AND $body.b = $body.a', needs).uses).toMatchObject({
      properties: [0, 1],
      bodyPaths: [0, 2],
    })
    expect(needs.bodyPaths).toEqual([['a'], ['tags', 'x'], ['b']])
  })

  test('tells the index 0 from the name 0, and a name with a dot from none', () => {
    const needs = new Needs()
    expect(read('$body.a[0] = $body.a.0', needs).uses.bodyPaths).toEqual([0, 1])
    expect(needs.bodyPaths).toEqual([
      ['a', 0],
      ['a', '0'],
    ])
  })

  test('grows by nothing where a condition has errors', () => {
    const needs = new Needs()
    readCondition('level = $body.a AND grade > 3', 'DeviceMessages', { needs })
    expect([needs.properties, needs.bodyPaths]).toEqual([[], []])
  })

  test('is read by index, also by facts that are older than the condition', () => {
    const needs = new Needs()
    const facts = factsOf({ properties: [['B', '2']], systemProperties: [], body: '' }, needs)
    read("a = '1'", needs)
    expect(read("b = '2'", needs).evaluate(facts)).toBe(true)
  })
})
