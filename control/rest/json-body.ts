import { PenstockError } from '#schemas/errors.ts'

export type JsonObject = Readonly<Record<string, unknown>>

/** @throws PenstockError REGISTRY_BODY_MALFORMED */
export function jsonFrom(body: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(body).toString('utf8'))
  } catch {
    throw new PenstockError('REGISTRY_BODY_MALFORMED', 'the body is not JSON')
  }
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
