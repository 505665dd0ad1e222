/**
 * Where files lie that devices upload: a folder, or a bucket.
 *
 *   putBlock, putBlock … ─▶ blocks of an upload ── commit ──▶ a file ─▶ read
 *                                   └── dropBlocks, or sweep ──▶ gone
 *
 * Keys are `blobKey`'s. Upload ids are UUIDs. Faults of all calls: EndpointError of what stores them, and what `content` throws.
 */
export interface StoredBlob {
  readonly bytes: number
  readonly changedAtMs: number
}

/** Bytes of a file, both ends among them. */
export interface BlobPart {
  readonly first: number
  readonly last: number
}

export interface BlobContent extends StoredBlob {
  /** Of the part that was asked for; `bytes` is of the whole. To be read to its end, or let go of: its iterator's `return` does, and a Node stream is destroyed. */
  readonly content: AsyncIterable<Uint8Array>
}

export type Committed =
  | { readonly kind: 'stored'; readonly bytes: number }
  /** One of the blocks is not there. */
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'too large' }

export interface BlobStore {
  /**
   * Keeps a block, wholly or not at all, in place of one of the same id.
   * @param content read once, at the speed at which it is stored
   * @param ended aborted when it must not appear any more
   */
  putBlock(uploadId: string, blockId: string, content: AsyncIterable<Uint8Array>, ended: AbortSignal): Promise<void>
  /** Makes a file of blocks in this order, wholly or not at all, in place of one that is there. The blocks stay. */
  commit(uploadId: string, blockIds: readonly string[], key: string, bytesMax: number): Promise<Committed>
  /** Stores a file, wholly or not at all, in place of one that is there. */
  put(key: string, content: AsyncIterable<Uint8Array>, ended: AbortSignal): Promise<void>
  find(key: string): Promise<StoredBlob | undefined>
  /** @param part within the file, as `find` told of it; left out: the whole */
  read(key: string, part?: BlobPart): Promise<BlobContent | undefined>
  dropBlocks(uploadId: string): Promise<void>
  /** Removes what uploads left that nobody added to for so long. */
  sweep(ageMsMin: number): Promise<void>
  /** Bytes of all that lies there. Cost: one look at every file. */
  measure(): Promise<number>
  close(): Promise<void>
}

/** Where blocks and what is written lie, below the folder or prefix. No key begins so. */
export const uploadsFolder = '_uploads'
