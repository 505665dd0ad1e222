import { createHmac } from 'node:crypto'
import type { AzureBlobSettings } from '#schemas/endpoint-kinds/azure-blob.ts'
import type { HttpRequestOptions } from '../http/http-client.ts'

export interface BlobRequest {
  readonly method: HttpRequestOptions['method']
  /** Of a blob; left out: the container itself. */
  readonly name?: string
  readonly query?: Readonly<Record<string, string>>
  /** In lower case. */
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array
  readonly ended?: AbortSignal
  readonly replyBytesMax?: number
}

/** All that requests need of the settings of an endpoint. */
export type ContainerAccess = Pick<AzureBlobSettings, 'account' | 'endpoint' | 'container' | 'accountKey' | 'sasToken'>

const serviceVersion = '2021-12-02'

/** Authorized by a shared access signature in the address, or by the account's key over what is sent [Shared Key]. */
export function authorizedRequest(
  settings: ContainerAccess,
  { method, name = '', query = {}, headers = {}, body }: BlobRequest,
  nowMs: number,
): Pick<HttpRequestOptions, 'url' | 'headers'> {
  const { account, accountKey, sasToken } = settings
  const url = addressOf(settings, name)
  for (const [key, value] of Object.entries(query)) url.searchParams.set(key, value)
  const sent = { ...headers, 'x-ms-date': new Date(nowMs).toUTCString(), 'x-ms-version': serviceVersion }
  if (accountKey === undefined) {
    for (const [key, value] of new URLSearchParams(sasToken)) url.searchParams.set(key, value)
    return { url, headers: sent }
  }
  const text = textToSign(method, account, url, sent, body?.length ?? 0)
  const signature = createHmac('sha256', Buffer.from(accountKey, 'base64')).update(text).digest('base64')
  return { url, headers: { ...sent, authorization: `SharedKey ${account}:${signature}` } }
}

function addressOf({ account, endpoint, container }: ContainerAccess, name: string): URL {
  const address = new URL(endpoint ?? `https://${account}.blob.core.windows.net`)
  const path = [address.pathname.replace(/\/+$/, ''), container, ...(name === '' ? [] : [name])]
  address.pathname = path.join('/')
  return address
}

/** The service computes the same text of what it gets ("Authorize with Shared Key", version 2015-02-21 and later). */
function textToSign(
  method: string,
  account: string,
  url: URL,
  headers: Readonly<Record<string, string>>,
  bodyLength: number,
): string {
  const standard = [
    'content-encoding',
    'content-language',
    'content-length',
    'content-md5',
    'content-type',
    'date',
    'if-modified-since',
    'if-match',
    'if-none-match',
    'if-unmodified-since',
    'range',
  ].map((header) => (header === 'content-length' ? String(bodyLength || '') : (headers[header] ?? '')))
  const own = Object.entries(headers)
    .filter(([header]) => header.startsWith('x-ms-'))
    .map(([header, value]) => `${header}:${value}`)
  const query = [...url.searchParams].map(([key, value]) => `${key.toLowerCase()}:${value}`)
  return [method, ...standard, ...own.sort(), `/${account}${url.pathname}`, ...query.sort()].join('\n')
}
