import {
  BlobServiceClient,
  type ContainerClient,
  ContainerSASPermissions,
  StorageSharedKeyCredential,
} from '@azure/storage-blob'
import type { AzuriteForTests } from '#infra/testbed/azurite.ts'
import type { AzureBlobSettings } from '#schemas/endpoint-kinds/azure-blob.ts'
import { objectSettings } from '../objects/object-sink-fixture.ts'

/** A container as the vendor's own client shows it. */
export class TestContainer {
  readonly name: string
  readonly #container: ContainerClient

  constructor({ url, account, accountKey }: AzuriteForTests, name: string) {
    this.name = name
    const credential = new StorageSharedKeyCredential(account, accountKey)
    this.#container = new BlobServiceClient(url, credential).getContainerClient(name)
  }

  async create(): Promise<void> {
    await this.#container.create()
  }

  async remove(): Promise<void> {
    await this.#container.delete()
  }

  async put(name: string, content: string): Promise<void> {
    // The client sends a header that Azurite does not know.
    const headers = { 'x-ms-blob-type': 'BlockBlob', 'x-ms-version': '2021-12-02' }
    const url = `${this.#container.url}/${name}?${await this.sasToken('cw')}`
    const reply = await fetch(url, { method: 'PUT', headers, body: content })
    if (!reply.ok) throw new Error(`${name} cannot be written: ${reply.status}`)
  }

  /** Its address, with a signature for rights such as `rcwl`. */
  async uri(rights: string): Promise<string> {
    return `${this.#container.url}?${await this.sasToken(rights)}`
  }

  async objects(): Promise<Map<string, Buffer>> {
    const token = await this.sasToken('r')
    const objects = new Map<string, Buffer>()
    for await (const { name } of this.#container.listBlobsFlat()) {
      // The client writes slashes of names as %2F, which Azurite does not read.
      const reply = await fetch(`${this.#container.url}/${name}?${token}`)
      if (!reply.ok) throw new Error(`${name} cannot be read: ${reply.status}`)
      objects.set(name, Buffer.from(await reply.arrayBuffer()))
    }
    return objects
  }

  /** A signature for this container with rights such as `rcl`: read, create, list. */
  async sasToken(rights: string): Promise<string> {
    const permissions = ContainerSASPermissions.parse(rights)
    const url = await this.#container.generateSasUrl({ permissions, expiresOn: new Date(Date.now() + 3_600_000) })
    return new URL(url).search.slice(1)
  }
}

export function azureSettings(server: AzuriteForTests, more: Partial<AzureBlobSettings>): AzureBlobSettings {
  const { url, account, accountKey } = server
  return { ...objectSettings, endpoint: url, account, accountKey, sasToken: undefined, container: 'telemetry', ...more }
}
