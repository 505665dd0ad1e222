import { expect, test } from 'vitest'
import { differencesOf, type TopicShape } from './topic-differences.ts'

const shape: TopicShape = { replicas: 3, 'min.insync.replicas': 2, 'retention.ms': 1_000, 'retention.bytes': 2_000 }
const differs = (found: Partial<TopicShape>, wanted: Partial<TopicShape> = {}) =>
  differencesOf('t', { ...shape, ...wanted }, { ...shape, ...found }).map((one) => one.differs)

test('a topic that is as the settings say has no differences', () => {
  expect(differs({})).toEqual([])
})

test('another retention differs, longer or shorter or none at all', () => {
  expect(differs({ 'retention.ms': 999 })).toEqual(['retention.ms is 999, wanted is 1000'])
  expect(differs({ 'retention.ms': 1_001 })).toEqual(['retention.ms is 1001, wanted is 1000'])
  expect(differs({ 'retention.bytes': -1 })).toEqual(['retention.bytes is -1, wanted is 2000'])
})

test('fewer copies than wanted differ, more do not', () => {
  expect(differs({ replicas: 2 })).toEqual(['its partitions have 2 replicas, 3 are wanted'])
  expect(differs({ 'min.insync.replicas': 1 })).toEqual(['min.insync.replicas is 1, wanted is 2'])
  expect(differs({ replicas: 5, 'min.insync.replicas': 3 })).toEqual([])
})

test('a topic with more replicas than wanted must have a majority of those in sync [G-1]', () => {
  const wanted = { replicas: 1, 'min.insync.replicas': 1 }
  expect(differs({ replicas: 3, 'min.insync.replicas': 1 }, wanted)).toEqual(['min.insync.replicas is 1, wanted is 2'])
})
