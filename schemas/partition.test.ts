import { Partitioners } from 'kafkajs'
import { describe, expect, test } from 'vitest'
import { murmur2, partitionOfDevice } from './partition.ts'

describe('partition of a device', () => {
  // From Apache Kafka's own UtilsTest.testMurmur2.
  test.each([
    ['21', -973932308],
    ['foobar', -790332482],
    ['a-little-bit-long-string', -985981536],
    ['a-little-bit-longer-string', -1486304829],
    ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
    ['abc', 479470107],
  ])('murmur2(%s) equals what Kafka computes', (text, hash) => {
    expect(murmur2(Buffer.from(text))).toBe(hash)
  })

  // Computed from Kafka's toPositive, which clears the sign bit. For negative hashes that is another partition than the absolute value gives.
  test.each([
    ['21', 7, 1_173_551_340 % 7],
    ['foobar', 12, 1_357_151_166 % 12],
    ['a-little-bit-longer-string', 1_000, 661_178_819 % 1_000],
    ['abc', 12, 479_470_107 % 12],
  ])('%s of %d partitions is where Kafka has it', (deviceId, partitionCount, partition) => {
    expect(partitionOfDevice(Buffer.from(deviceId), partitionCount)).toBe(partition)
  })

  test('ids of every length are where another Kafka client sends them', () => {
    const clientChooses = Partitioners.DefaultPartitioner()
    for (let length = 1; length <= 128; length++) {
      const key = Buffer.from(Array.from({ length }, (_, i) => 33 + ((length * 31 + i * 7) % 94)))
      for (const partitionCount of [1, 7, 12, 4096]) {
        const partitionMetadata = Array.from({ length: partitionCount }, (_, partitionId) => ({
          partitionErrorCode: 0,
          partitionId,
          leader: 0,
          replicas: [],
          isr: [],
        }))
        const chosen = clientChooses({ topic: 't', partitionMetadata, message: { key, value: null } })
        expect(partitionOfDevice(key, partitionCount), `${key} of ${partitionCount}`).toBe(chosen)
      }
    }
  })

  test('every device has a partition within range', () => {
    for (let i = 0; i < 1000; i++) {
      const partition = partitionOfDevice(Buffer.from(`device-${i}`), 7)
      expect(partition).toBeGreaterThanOrEqual(0)
      expect(partition).toBeLessThan(7)
    }
  })
})
