import { AwsClient } from 'aws4fetch'
import type { SeaweedForTests } from '#infra/testbed/seaweedfs.ts'
import type { S3Settings } from '#schemas/endpoint-kinds/s3.ts'
import { objectSettings } from '../objects/object-sink-fixture.ts'

/** A bucket as its server shows it, by none of our own requests. */
export class TestBucket {
  readonly name: string
  readonly #url: string
  readonly #client: AwsClient

  constructor({ url, accessKeyId, secretAccessKey }: SeaweedForTests, name: string) {
    this.name = name
    this.#url = `${url}/${name}`
    this.#client = new AwsClient({ accessKeyId, secretAccessKey, service: 's3', region: 'us-east-1', retries: 0 })
  }

  async create(): Promise<void> {
    await this.#send('PUT')
  }

  async remove(): Promise<void> {
    await this.#send('DELETE')
  }

  async objects(): Promise<Map<string, Buffer>> {
    const list = (await this.#send('GET', '?list-type=2')).toString()
    if (list.includes('<IsTruncated>true')) throw new Error('more objects than a list shows')
    const names = [...list.matchAll(/<Key>([^<]*)</g)].map(([, name = '']) => name)
    return new Map(await Promise.all(names.map(async (name) => [name, await this.#send('GET', `/${name}`)] as const)))
  }

  /** Uploads that were begun and neither completed nor abandoned. */
  async uploads(): Promise<string[]> {
    const list = (await this.#send('GET', '?uploads=')).toString()
    return [...list.matchAll(/<Key>([^<]*)</g)].map(([, name = '']) => name)
  }

  async beginUpload(name: string): Promise<void> {
    await this.#send('POST', `/${name}?uploads=`)
  }

  async #send(method: string, path = ''): Promise<Buffer> {
    const reply = await this.#client.fetch(`${this.#url}${path}`, { method })
    const body = Buffer.from(await reply.arrayBuffer())
    if (!reply.ok) throw new Error(`${method} ${path} answered ${reply.status}: ${body}`)
    return body
  }
}

export function s3Settings(server: SeaweedForTests, more: Partial<S3Settings>): S3Settings {
  const { url, accessKeyId, secretAccessKey } = server
  const keys = { accessKeyId, secretAccessKey, sessionToken: undefined }
  const place = { endpoint: url, region: 'us-east-1', bucket: 'telemetry', addressing: undefined }
  return { ...objectSettings, ...place, ...keys, ...more }
}
