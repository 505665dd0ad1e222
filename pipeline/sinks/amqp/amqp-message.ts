/** A message as the hub gives it to queues: what the device set as properties, what the hub knows as annotations. */
import type { Message, message as MessageUtil, types as Types } from 'rhea'
import type { SelectedMessage } from '#pipeline/endpoints/selected-range.ts'
import { symbolText, systemField } from '#schemas/hub-fields.ts'
import { repetitionId } from '../queues/repetition-id.ts'

interface AmqpLibrary {
  readonly message: typeof MessageUtil
  readonly types: typeof Types
}

/** Its id is ours, so that a broker that leaves out repetitions does; what the device called it is an annotation. */
export function amqpMessage({ message, types }: AmqpLibrary, selected: SelectedMessage): Message {
  const { deviceId, enqueuedAtMs, body, properties, systemProperties } = selected
  const { contentType, contentEncoding, correlationId, userId, ...others } = systemProperties
  return {
    message_id: repetitionId(selected),
    ...(contentType === undefined ? {} : { content_type: symbolText(contentType) }),
    ...(contentEncoding === undefined ? {} : { content_encoding: symbolText(contentEncoding) }),
    ...(correlationId === undefined ? {} : { correlation_id: correlationId }),
    // The library takes text here, and writes its bytes.
    ...(userId === undefined ? {} : { user_id: userId }),
    application_properties: { ...properties },
    message_annotations: {
      ...Object.fromEntries(Object.entries(others).map(([name, value]) => [symbolText(systemField(name)), value])),
      'iothub-connection-device-id': deviceId,
      'iothub-enqueuedtime': types.wrap_timestamp(enqueuedAtMs),
    },
    body: message.data_section(Buffer.from(body.buffer, body.byteOffset, body.byteLength)),
  }
}
