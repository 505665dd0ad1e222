import { describe, expect, test } from 'vitest'
import { digitalTwinDocument } from './digital-twin-document.ts'

const [earlier, later] = ['2026-11-29T10:00:00.000Z', '2026-11-29T11:00:00.000Z']
const at = ($lastUpdated: string, $lastUpdatedVersion?: number) => ({ $lastUpdated, $lastUpdatedVersion })

describe('a digital twin', () => {
  test('has desired and reported properties as one, and components with metadata of their own', () => {
    const desired = {
      fan: 2,
      thermostat: { __t: 'c', target: 21.8 },
      $metadata: { ...at(earlier, 4), fan: at(earlier, 2), thermostat: { ...at(earlier, 4), target: at(earlier, 4) } },
      $version: 4,
    }
    const reported = {
      serial: 'a',
      thermostat: { __t: 'c', most: 25.3, target: { value: 20.4, ac: 200, av: 3, ad: 'done' } },
      $metadata: { serial: at(later), thermostat: { most: at(later), target: { ...at(later), value: at(later) } } },
      $version: 11,
    }
    expect(digitalTwinDocument('d', 'dtmi:test:Controller;1', { desired, reported })).toEqual({
      $dtId: 'd',
      serial: 'a',
      thermostat: {
        most: 25.3,
        target: 20.4,
        $metadata: {
          most: { lastUpdateTime: later },
          target: {
            ...{ desiredValue: 21.8, desiredVersion: 4, ackVersion: 3, ackCode: 200, ackDescription: 'done' },
            lastUpdateTime: later,
          },
        },
      },
      $metadata: {
        $model: 'dtmi:test:Controller;1',
        fan: { desiredValue: 2, desiredVersion: 2 },
        serial: { lastUpdateTime: later },
      },
    })
  })

  test('of which nothing is known has its name only', () => {
    const empty = { $metadata: at(earlier), $version: 1 }
    expect(digitalTwinDocument('d', undefined, { desired: empty, reported: empty })).toEqual({
      $dtId: 'd',
      $metadata: {},
    })
  })

  test('has a component that one side alone marks, and takes no object for an acknowledgement that is none', () => {
    const desired = { one: { __t: 'c', a: 1 }, odd: { value: 1 } }
    const told = { value: 5, ac: 200 }
    const reported = { two: { __t: 'c', b: { value: 2 } }, odd: { value: 3, more: 4 }, told }
    expect(digitalTwinDocument('d', undefined, { desired, reported })).toEqual({
      $dtId: 'd',
      one: { $metadata: { a: { desiredValue: 1 } } },
      two: { b: { value: 2 }, $metadata: { b: {} } },
      odd: { value: 3, more: 4 },
      told: 5,
      $metadata: { odd: { desiredValue: { value: 1 } }, told: { ackCode: 200 } },
    })
  })

  test('takes names for data, whatever objects have by nature', () => {
    const reported = JSON.parse('{"__proto__":{"__t":"c","x":1},"constructor":2}')
    const document = digitalTwinDocument('d', undefined, { desired: {}, reported })
    expect(JSON.parse(JSON.stringify(document))).toEqual(
      JSON.parse(
        '{"$dtId":"d","__proto__":{"x":1,"$metadata":{"x":{}}},"constructor":2,"$metadata":{"constructor":{}}}',
      ),
    )
  })
})
