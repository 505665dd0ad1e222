/**
 * What brokers answer, before it is believed. kafkajs throws the faults that an answer tells of; that it is about what was asked, all of
 * it, and holds offsets, is seen to here. What is not so is a failed attempt like any other, and is tried again.
 */
import { assert } from '#runtime/assert.ts'

export interface TopicAnswer<P> {
  readonly topic: string
  readonly partitions: readonly P[]
}

interface PartitionAnswer {
  readonly partition: number
  readonly errorCode: number
}

/** The answers about these partitions of one topic. @throws INTERNAL_EXPECTATION_FAILED unless each has one, without a fault */
export function answersOf<P extends PartitionAnswer>(
  answers: readonly TopicAnswer<P>[],
  topic: string,
  partitions: readonly number[],
): Map<number, P> {
  const own = answers.filter((answer) => answer.topic === topic).flatMap((answer) => answer.partitions)
  const found = new Map(own.map((answer) => [answer.partition, answer]))
  for (const partition of partitions) {
    const answer = found.get(partition)
    assert(answer !== undefined, `Kafka answers for partition ${partition} of ${topic}`)
    assert(answer.errorCode === 0, `Kafka answers for partition ${partition} without fault ${answer.errorCode}`)
  }
  return found
}

/** The offset in an answer. @throws INTERNAL_EXPECTATION_FAILED @param min -1 where there may be none */
export function offsetFrom(text: string | undefined, what: string, min: 0 | -1 = 0): number {
  const offset = Number(text)
  assert(
    text !== undefined && text !== '' && Number.isSafeInteger(offset) && offset >= min,
    `${what} is an offset, not ${text}`,
  )
  return offset
}
