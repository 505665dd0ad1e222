import { expect, test } from 'vitest'
import { limits } from '#schemas/limits.ts'
import { sequenceBase } from './body-layout.ts'
import { BodyVariants, templateBody, templateFaults } from './body-template.ts'
import { bodyText, FrameTemplate, publishEnvelope } from './frames.ts'

const text = ` {"temperature": \${float(-18,26,1)}, "door": \${choice(open,"ajar",3,élan)}, "n": \${int(-5,100)},\n"id": "m-\${hex(3)}-\${choice(a b,c)}", "text": \${hex(16)}} `

/** Frames of messages 0 … count-1 as bodies. */
function bodiesOf(template: string, seed: number, count: number, runSeed = 1): string[] {
  const topic = 't'
  const variants = new BodyVariants(template, runSeed)
  const { bodyBytes } = templateBody(template)
  const frames = new FrameTemplate({ envelope: publishEnvelope(topic, 0, 4, bodyBytes), bodyBytes, seed, variants })
  const target = Buffer.alloc(frames.frameBytes * count)
  expect(frames.fill(target, 0, count, false, 1_700_000_000_000)).toBe(count)
  return Array.from({ length: count }, (_, index) => {
    const end = (index + 1) * frames.frameBytes
    return target.toString('utf8', end - bodyBytes, end)
  })
}

test('every body is JSON with its sequence number, its time, and values as the placeholders allow', () => {
  const bodies = bodiesOf(text, 5, 2_000)
  const seen = { doors: new Set(), temperatures: new Set() }
  for (const [sequence, body] of bodies.entries()) {
    const found = JSON.parse(body)
    expect(found).toEqual({
      seq: sequenceBase + sequence,
      at: 1_700_000_000_000,
      temperature: expect.any(Number),
      door: expect.anything(),
      n: expect.any(Number),
      id: expect.stringMatching(/^m-[0-9a-f]{3}-(a b|c)$/),
      text: expect.stringMatching(/^[0-9a-f]{16}$/),
    })
    expect(found.temperature).toBeGreaterThanOrEqual(-18)
    expect(found.temperature).toBeLessThanOrEqual(26)
    expect(Number.isInteger(found.n) && found.n >= -5 && found.n <= 100).toBe(true)
    expect(Buffer.byteLength(body)).toBe(templateBody(text).bodyBytes)
    seen.doors.add(found.door)
    seen.temperatures.add(found.temperature)
  }
  expect(seen.doors).toEqual(new Set(['open', 'ajar', 3, 'élan']))
  expect(seen.temperatures.size).toBeGreaterThan(100)
})

test('the same seed gives the same bodies, another one others; a message sent again is the same bytes', () => {
  expect(bodiesOf(text, 5, 100)).toEqual(bodiesOf(text, 5, 100))
  expect(bodiesOf(text, 6, 100)).not.toEqual(bodiesOf(text, 5, 100))
  expect(bodiesOf(text, 5, 100, 2)).not.toEqual(bodiesOf(text, 5, 100))
})

test('over HTTP and in frames a message has the same body', () => {
  const variants = new BodyVariants(text, 1)
  const texts = Array.from({ length: 50 }, (_, sequence) => bodyText(0, sequence, 1_700_000_000_000, 5, variants))
  expect(texts).toEqual(bodiesOf(text, 5, 50))
})

test('a template without members or placeholders, and one of the largest size', () => {
  expect(JSON.parse(bodiesOf('{}', 1, 1)[0]!)).toEqual({ seq: sequenceBase, at: 1_700_000_000_000 })
  expect(JSON.parse(bodiesOf(`{"a":"\\"\${int(1,1)}"}`, 1, 1)[0]!)).toMatchObject({ a: '"1' })
  const largest = limits.bodyBytesMax - templateBody('{"a":""}').bodyBytes
  const bodyOfSize = (digits: number) => `{"a":"\${hex(${digits})}"}`
  expect(templateBody(bodyOfSize(largest)).bodyBytes).toBe(limits.bodyBytesMax)
  expect(JSON.parse(bodiesOf(bodyOfSize(largest), 1, 1)[0]!).a.length).toBe(largest)
  expect(templateFaults(bodyOfSize(largest + 1))[0]).toContain(`allowed are ${limits.bodyBytesMax}`)
})

test('faults name the place and what is allowed there', () => {
  expect(
    templateFaults(`{"a": \${flot(1,2)}, "b": \${int(5,1)}, "c": \${float(1,2)}, "d": \${hex(0)}, "e": \${choice()}`),
  ).toEqual([
    `character 7, \${flot(1,2)}: there is int(min,max), float(min,max,digits up to 9), choice(a,b,…), hex(digits up to 262144)`,
    `character 26, \${int(5,1)}: expected int(min,max)`,
    `character 44, \${float(1,2)}: expected float(min,max,digits up to 9)`,
    `character 64, \${hex(0)}: expected hex(digits up to 262144)`,
    `character 80, \${choice()}: expected choice(a,b,…)`,
  ])
  expect(templateFaults('{"a": ${int(1,2')[0]).toContain('character 7, ${int(1,2: there is int')
  expect(templateFaults(`{"a": \${int(1,2)}`)[0]).toContain('makes no JSON')
  expect(templateFaults(`[\${int(1,2)}]`)[0]).toContain('expected a JSON object')
  expect(templateFaults('{"seq": 1, "at": 2}')).toEqual([
    "the member seq is the ledger's own",
    "the member at is the ledger's own",
  ])
  expect(() => templateBody('[]')).toThrow(expect.objectContaining({ code: 'LOADTEST_OPTIONS_INVALID' }))
})
