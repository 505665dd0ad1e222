import { createHmac } from 'node:crypto'

/**
 * Headers of a signed request after the Standard Webhooks convention (standardwebhooks.com): the receiver computes
 * HMAC-SHA256 of `id.timestamp.body` with the key that both know, and compares.
 * @param secrets base64 of the keys, `whsec_` before it or not; with two the receiver may know either
 */
export function signedHeaders(
  id: string,
  timeSeconds: number,
  body: Uint8Array,
  secrets: readonly string[],
): Record<string, string> {
  const signature = secrets.map((secret) => {
    const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64')
    return `v1,${createHmac('sha256', key).update(`${id}.${timeSeconds}.`).update(body).digest('base64')}`
  })
  return {
    'webhook-id': id,
    'webhook-timestamp': String(timeSeconds),
    ...(signature.length === 0 ? {} : { 'webhook-signature': signature.join(' ') }),
  }
}

/** The id of a request as the convention has it: full stops part what is signed. */
export const webhookId = (requestId: string): string => requestId.replaceAll('.', '~')
