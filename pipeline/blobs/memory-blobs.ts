import type { BlobContent, BlobPart, BlobStore, Committed, StoredBlob } from './blob-store.ts'
import { uploadsFolder } from './blob-store.ts'

/** For tests: files in memory. */
export class MemoryBlobs implements BlobStore {
  readonly files = new Map<string, { readonly bytes: Buffer; readonly changedAtMs: number }>()
  /** Awaited before each call; what it throws, the call throws. */
  gate: () => Promise<void> = async () => {}

  async putBlock(uploadId: string, blockId: string, content: AsyncIterable<Uint8Array>): Promise<void> {
    await this.put(this.#block(uploadId, blockId), content)
  }

  async commit(uploadId: string, blockIds: readonly string[], key: string, bytesMax: number): Promise<Committed> {
    await this.gate()
    const blocks = blockIds.map((blockId) => this.files.get(this.#block(uploadId, blockId))?.bytes)
    const found = blocks.filter((block) => block !== undefined)
    if (found.length < blocks.length) return { kind: 'incomplete' }
    const bytes = Buffer.concat(found)
    if (bytes.length > bytesMax) return { kind: 'too large' }
    this.files.set(key, { bytes, changedAtMs: Date.now() })
    return { kind: 'stored', bytes: bytes.length }
  }

  async put(key: string, content: AsyncIterable<Uint8Array>): Promise<void> {
    await this.gate()
    const pieces: Uint8Array[] = []
    for await (const piece of content) pieces.push(piece)
    this.files.set(key, { bytes: Buffer.concat(pieces), changedAtMs: Date.now() })
  }

  async find(key: string): Promise<StoredBlob | undefined> {
    await this.gate()
    const file = this.files.get(key)
    return file && { bytes: file.bytes.length, changedAtMs: file.changedAtMs }
  }

  async read(key: string, part?: BlobPart): Promise<BlobContent | undefined> {
    const found = await this.find(key)
    const bytes = this.files.get(key)?.bytes ?? Buffer.alloc(0)
    return (
      found && {
        ...found,
        content: (async function* () {
          yield part === undefined ? bytes : bytes.subarray(part.first, part.last + 1)
        })(),
      }
    )
  }

  async dropBlocks(uploadId: string): Promise<void> {
    await this.gate()
    this.#dropWhere((key) => key.startsWith(this.#block(uploadId, '')))
  }

  async sweep(ageMsMin: number): Promise<void> {
    await this.gate()
    const oldMs = Date.now() - ageMsMin
    this.#dropWhere((key, changedAtMs) => key.startsWith(`${uploadsFolder}/`) && changedAtMs < oldMs)
  }

  async measure(): Promise<number> {
    await this.gate()
    return [...this.files.values()].reduce((sum, { bytes }) => sum + bytes.length, 0)
  }

  async close(): Promise<void> {}

  #block(uploadId: string, blockId: string): string {
    return `${uploadsFolder}/${uploadId}/${blockId}`
  }

  #dropWhere(isOver: (key: string, changedAtMs: number) => boolean): void {
    for (const [key, { changedAtMs }] of this.files) if (isOver(key, changedAtMs)) this.files.delete(key)
  }
}
