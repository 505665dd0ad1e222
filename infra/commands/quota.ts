/** `penstock devices quota …`: what single devices may do, spelled as in the setting PENSTOCK_DEVICE_QUOTAS. */
import type { RestClient } from '#control/client/client.ts'
import { quotaCheck } from '#control/quotas/quota-json.ts'
import type { QuotaOverride } from '#control/quotas/quotas.ts'
import { listOf } from '#runtime/json-check.ts'

const fields: Readonly<Record<string, 'messagesPerSecond' | 'bytesPerSecond' | 'connectionsPerMinute'>> = {
  messages: 'messagesPerSecond',
  bytes: 'bytesPerSecond',
  connections: 'connectionsPerMinute',
}

/**
 * Without words shows the quota, else sets it as a whole.
 * @param words e.g. `messages:5000`
 * @throws what `invalid` makes of a fault; PenstockError CONTROL_UNREACHABLE, CONTROL_REFUSED
 */
export async function runQuotaCommand(
  client: RestClient,
  deviceId: string,
  words: readonly string[],
  remove: boolean,
  write: (line: string) => void,
  invalid: (why: string) => Error,
): Promise<void> {
  const path = `/api/quotas/${encodeURIComponent(deviceId)}`
  if (remove) {
    await client.call('DELETE', path)
    write(`${deviceId} has no quota of its own any more`)
    return
  }
  if (words.length === 0) {
    write(quotaLine(await client.json(quotaCheck, 'GET', path)))
    return
  }
  const document: Record<string, number> = {}
  for (const word of words) {
    const [, name = '', value] = /^(messages|bytes|connections):(\d{1,12})$/.exec(word) ?? []
    const field = fields[name]
    if (field === undefined) throw invalid(`${word} is not messages:n, bytes:n or connections:n`)
    document[field] = Number(value)
  }
  write(quotaLine(await client.json(quotaCheck, 'PUT', path, document)))
}

export async function listQuotas(client: RestClient, write: (line: string) => void): Promise<void> {
  for (const quota of await client.json(listOf(quotaCheck), 'GET', '/api/quotas')) write(quotaLine(quota))
}

function quotaLine(quota: QuotaOverride): string {
  const words = Object.entries(fields).flatMap(([name, field]) =>
    quota[field] === undefined ? [] : [`${name}:${quota[field]}`],
  )
  return [quota.deviceId, ...words].join(' ')
}
