import kafkajs from 'kafkajs'
import { expect, it } from 'vitest'
import { refusedAddress } from '#runtime/outgoing-addresses.ts'
import { PenstockError } from '#schemas/errors.ts'
import { kafkaFault } from './kafka-fault.ts'

const answer = (type: string) => Object.assign(new Error('said'), { type })
const connecting = (code: string) => Object.assign(new Error('said'), { name: 'KafkaJSConnectionError', code })
const wrapped = (cause: Error) =>
  Object.assign(new kafkajs.KafkaJSNumberOfRetriesExceeded(cause, {} as never), { cause })

it.each([
  [answer('TOPIC_AUTHORIZATION_FAILED'), 'ENDPOINT_HELD', 'Unauthorized'],
  [answer('TRANSACTIONAL_ID_AUTHORIZATION_FAILED'), 'ENDPOINT_HELD', 'Unauthorized'],
  [answer('SASL_AUTHENTICATION_FAILED'), 'ENDPOINT_HELD', 'Unauthorized'],
  [connecting('CERT_HAS_EXPIRED'), 'ENDPOINT_HELD', 'Unauthorized'],
  [connecting(refusedAddress), 'ENDPOINT_HELD', 'Unauthorized'],
  [wrapped(connecting(refusedAddress)), 'ENDPOINT_HELD', 'Unauthorized'],
  [answer('UNKNOWN_TOPIC_OR_PARTITION'), 'ENDPOINT_HELD', 'NotFound'],
  [answer('INVALID_RECORD'), 'ENDPOINT_HELD', 'InvalidMessage'],
  [answer('MESSAGE_TOO_LARGE'), 'ENDPOINT_REFUSED', 'MaxMessageSizeExceeded'],
  [answer('INVALID_TIMESTAMP'), 'ENDPOINT_HELD', 'InvalidMessage'],
  [answer('REQUEST_TIMED_OUT'), 'ENDPOINT_UNAVAILABLE', 'Timeout'],
  [answer('INVALID_PRODUCER_EPOCH'), 'ENDPOINT_UNAVAILABLE', 'Transient'],
  [answer('NOT_ENOUGH_REPLICAS'), 'ENDPOINT_UNAVAILABLE', 'Transient'],
  [connecting('ECONNREFUSED'), 'ENDPOINT_UNAVAILABLE', 'Transient'],
  [new Error('anything else'), 'ENDPOINT_UNAVAILABLE', 'Transient'],
])('%s is %s (%s)', (error, code, failure) => {
  expect(kafkaFault(error)).toMatchObject({ code, failure })
})

it('a fault of ours stays what it is, and an answer that is none is tried again', () => {
  const corrupt = new PenstockError('BATCH_CORRUPT', 'of the log')
  expect(kafkaFault(corrupt)).toBe(corrupt)
  const senseless = new PenstockError('INTERNAL_EXPECTATION_FAILED', 'an offset is a number')
  expect(kafkaFault(senseless)).toMatchObject({ code: 'ENDPOINT_UNAVAILABLE' })
})
