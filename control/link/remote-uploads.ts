import type { DeviceUploads, UploadBegun, UploadEnded, UploadId } from '#control/uploads/uploads.ts'
import type { DirectoryLink } from './remote-twins.ts'

/** Uploads, asked over the control role's socket. */
export class RemoteUploads implements DeviceUploads {
  readonly #link: DirectoryLink
  readonly #unavailable: (cause: unknown) => never

  /** @param unavailable how the directory tells that control is away */
  constructor(link: DirectoryLink, unavailable: (cause: unknown) => never) {
    this.#link = link
    this.#unavailable = unavailable
  }

  async uploadKey(): Promise<Buffer> {
    return Buffer.from(await this.#link.ask('uploadKey', undefined).catch(this.#unavailable), 'base64')
  }

  beginUpload(upload: UploadBegun): Promise<string | undefined> {
    return this.#link.ask('beginUpload', upload).catch(this.#unavailable)
  }

  uploadName(upload: UploadId): Promise<string | undefined> {
    return this.#link.ask('uploadName', upload).catch(this.#unavailable)
  }

  endUpload(upload: UploadEnded): Promise<boolean> {
    return this.#link.ask('endUpload', upload).catch(this.#unavailable)
  }
}
