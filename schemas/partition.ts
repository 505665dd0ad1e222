/**
 * The partition of a device, as Kafka's own default partitioner computes it from a record key. So any Kafka client that
 * produces with the device id as its key uses the same partition. Source: org.apache.kafka.common.utils.Utils.murmur2 and
 * BuiltInPartitioner.partitionForKey: `toPositive(murmur2(key)) % partitions`.
 * @param deviceId UTF-8 bytes of the device id
 */
export function partitionOfDevice(deviceId: Uint8Array, partitionCount: number): number {
  return (murmur2(deviceId) & 0x7fffffff) % partitionCount
}

/** 32-bit MurmurHash2 with Kafka's seed, as a signed integer. */
export function murmur2(bytes: Uint8Array): number {
  const multiplier = 0x5bd1e995
  const length = bytes.length
  let hash = 0x9747b28c ^ length
  const wholeWordsEnd = length & ~3
  for (let i = 0; i < wholeWordsEnd; i += 4) {
    let word =
      byteAt(bytes, i) | (byteAt(bytes, i + 1) << 8) | (byteAt(bytes, i + 2) << 16) | (byteAt(bytes, i + 3) << 24)
    word = Math.imul(word, multiplier)
    word ^= word >>> 24
    hash = Math.imul(hash, multiplier) ^ Math.imul(word, multiplier)
  }
  const tail = length & 3
  if (tail === 3) hash ^= byteAt(bytes, wholeWordsEnd + 2) << 16
  if (tail >= 2) hash ^= byteAt(bytes, wholeWordsEnd + 1) << 8
  if (tail >= 1) hash = Math.imul(hash ^ byteAt(bytes, wholeWordsEnd), multiplier)
  hash = Math.imul(hash ^ (hash >>> 13), multiplier)
  return hash ^ (hash >>> 15)
}

function byteAt(bytes: Uint8Array, index: number): number {
  return bytes[index] ?? 0
}
