import { AwsV4Signer } from 'aws4fetch'
import type { S3Settings } from '#schemas/endpoint-kinds/s3.ts'
import type { HttpRequestOptions } from '../http/http-client.ts'

/** A bucket, and whose key signs. */
export type S3Bucket = Pick<
  S3Settings,
  'endpoint' | 'region' | 'bucket' | 'addressing' | 'accessKeyId' | 'secretAccessKey' | 'sessionToken'
>

export interface S3Request {
  readonly method: HttpRequestOptions['method']
  /** Of an object; left out: the bucket itself. */
  readonly name?: string
  readonly query?: Readonly<Record<string, string>>
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array
  readonly ended?: AbortSignal
  readonly replyBytesMax?: number
}

/** @param hash SHA-256 of the body, in hexadecimal */
export async function signedRequest(
  settings: S3Bucket,
  { method, name = '', query = {}, headers = {} }: S3Request,
  hash: string,
  nowMs: number,
): Promise<Pick<HttpRequestOptions, 'url' | 'headers'>> {
  const { accessKeyId, secretAccessKey, sessionToken, region } = settings
  const address = addressOf(settings, name)
  for (const [key, value] of Object.entries(query)) address.searchParams.set(key, value)
  const signer = new AwsV4Signer({
    method,
    url: address.href,
    headers: { ...headers, 'x-amz-content-sha256': hash },
    accessKeyId,
    secretAccessKey,
    ...(sessionToken === undefined ? {} : { sessionToken }),
    service: 's3',
    region,
    datetime: new Date(nowMs).toISOString().replaceAll(/[:-]|\.\d{3}/g, ''),
  })
  const signed = await signer.sign()
  return { url: signed.url, headers: Object.fromEntries(signed.headers) }
}

/** The bucket stands in the path or in the name of the host. */
export function addressOf({ endpoint, region, bucket, addressing }: S3Bucket, name: string): URL {
  const address = new URL(endpoint ?? `https://s3.${region}.amazonaws.com`)
  const isInPath = (addressing ?? (endpoint === undefined ? 'host' : 'path')) === 'path'
  if (!isInPath) address.hostname = `${bucket}.${address.hostname}`
  const path = [
    address.pathname.replace(/\/+$/, ''),
    ...(isInPath ? [bucket] : []),
    ...(name === '' && isInPath ? [] : [name]),
  ]
  address.pathname = path.join('/')
  return address
}
