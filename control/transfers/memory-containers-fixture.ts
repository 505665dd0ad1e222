/** For tests: containers in memory, by their names. */
import { createHash } from 'node:crypto'
import { PenstockError } from '#schemas/errors.ts'
import type { BlobRange, ContainerAddress, TransferContainer, TransferContainers } from './transfers.ts'

export class MemoryContainers implements TransferContainers {
  /** By container and blob. */
  readonly blobs = new Map<string, Buffer>()
  /** That were put since the last list, or stood in it, by blob, writer and index. */
  readonly blocks = new Map<string, Buffer>()
  /** Awaited before each call; what it throws, the call throws. */
  gate: (call: string) => void | Promise<void> = () => {}
  openCount = 0

  async refusal({ endpoint }: ContainerAddress): Promise<string | undefined> {
    return endpoint.includes('169.254') ? `${endpoint} is link-local` : undefined
  }

  open({ container }: ContainerAddress): TransferContainer {
    this.openCount++
    const at = (blob: string): string => `${container}/${blob}`
    return {
      find: async (blob) => {
        await this.gate(`find ${blob}`)
        const bytes = this.blobs.get(at(blob))
        return bytes && { bytes: bytes.length, etag: etagOf(bytes) }
      },
      read: async (blob, { first, last, etag }: BlobRange) => {
        await this.gate(`read ${blob}`)
        const bytes = this.blobs.get(at(blob)) ?? Buffer.alloc(0)
        if (etagOf(bytes) !== etag) throw new PenstockError('ENDPOINT_HELD', `${blob} was changed`)
        return bytes.subarray(first, last + 1)
      },
      putBlock: async (blob, { writer, index }, body) => {
        await this.gate(`put ${index}`)
        this.blocks.set(`${at(blob)} ${writer} ${index}`, Buffer.from(body))
      },
      commit: async (blob, listed) => {
        await this.gate('commit')
        const names = listed.map(({ writer, index }) => `${at(blob)} ${writer} ${index}`)
        const blocks = names.map((name) => this.blocks.get(name))
        const found = blocks.filter((block) => block !== undefined)
        if (found.length < blocks.length) throw new PenstockError('ENDPOINT_UNAVAILABLE', 'InvalidBlockList')
        const kept = new Set(names)
        for (const name of this.blocks.keys())
          if (name.startsWith(`${at(blob)} `) && !kept.has(name)) this.blocks.delete(name)
        this.blobs.set(at(blob), Buffer.concat(found))
      },
      close: async () => {
        this.openCount--
      },
    }
  }
}

function etagOf(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}
