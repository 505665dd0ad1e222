import { hkdfSync } from 'node:crypto'
import type { DeviceUploads, UploadBegun, UploadEnded, UploadId, Uploads } from '#control/uploads/uploads.ts'

const keyBytes = 32

/** Uploads for the edges, in a process that has the registry itself. */
export class RegistryUploads implements DeviceUploads {
  readonly #uploads: Uploads
  readonly #secrets: { secret(): Promise<Buffer> }
  readonly #unavailable: (cause: unknown) => never

  /** @param secrets what all processes of this installation share @param unavailable how the directory tells that the store is away */
  constructor(uploads: Uploads, secrets: { secret(): Promise<Buffer> }, unavailable: (cause: unknown) => never) {
    this.#uploads = uploads
    this.#secrets = secrets
    this.#unavailable = unavailable
  }

  async uploadKey(): Promise<Buffer> {
    // The secret has another use, which this key must not serve.
    const secret = await this.#secrets.secret().catch(this.#unavailable)
    return Buffer.from(hkdfSync('sha256', secret, '', 'penstock uploads', keyBytes))
  }

  beginUpload(upload: UploadBegun): Promise<string | undefined> {
    return this.#uploads.beginUpload(upload).catch(this.#unavailable)
  }

  uploadName(upload: UploadId): Promise<string | undefined> {
    return this.#uploads.uploadName(upload).catch(this.#unavailable)
  }

  endUpload(upload: UploadEnded): Promise<boolean> {
    return this.#uploads.endUpload(upload).catch(this.#unavailable)
  }
}
