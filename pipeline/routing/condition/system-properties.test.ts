import { expect, test } from 'vitest'
import { enqueuedTimeText } from '#schemas/time.ts'
import { isDocumented, storedAs } from './system-properties.ts'

test('system properties of conditions are found where messages have them, in any case', () => {
  expect(storedAs('MessageID')).toEqual({ systemProperty: 'messageId' })
  expect(storedAs('connectiondeviceid')).toBe('deviceId')
  expect(storedAs('connectionModuleId')).toEqual({ systemProperty: 'moduleId' })
  expect(storedAs('enqueuedTime')).toBe('enqueuedAtMs')
  expect(storedAs('connectionAuthMethod')).toBe('nowhere')
  expect(storedAs('Topic')).toEqual({ systemProperty: 'Topic' })
  expect(storedAs('odd')).toEqual({ systemProperty: '$odd' })
  expect([isDocumented('DT-subject'), isDocumented('topic')]).toEqual([true, false])
})

test('moments compare as their texts do', () => {
  expect(enqueuedTimeText(Date.UTC(2025, 2, 4, 5, 6, 7, 8))).toBe('2025-03-04T05:06:07.0080000Z')
})
