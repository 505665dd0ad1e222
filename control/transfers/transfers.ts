/**
 * The port of transfers: jobs that carry all identities, with their twins, into a blob or out of one.
 *
 *   export   identities, page by page ──▶ a block each ──▶ the blob, once all blocks are there
 *   import   the blob, part by part ──▶ lines ──▶ identities and twins ──▶ what was refused, as lines of another blob
 *
 * A transfer is a job: it waits for its place, and whoever runs it holds the lease of the job (`jobs/jobs.ts`). One runs at a time. How far it
 * is lies in the store: an import's position is committed with what its lines changed, so that no line is carried out twice, and with the
 * blocks of a target it says whose they are (`written-blocks.ts`). Faults of all calls of the store: STORE_UNAVAILABLE (retry).
 */
import type { Job, JobLease, TransferType } from '#control/jobs/jobs.ts'
import type { Queries } from '#control/store/database.ts'

/** Where a container is, and the shared access signature that opens it. */
export interface ContainerAddress {
  /** Of the account, with its path if it has one. */
  readonly endpoint: string
  readonly container: string
  /** A secret: sealed in the store. */
  readonly sasToken: string
}

/** A blob that is read from, or written to. */
export interface BlobAddress extends ContainerAddress {
  readonly blob: string
}

export interface NewTransfer {
  readonly type: TransferType
  /** Of an import. */
  readonly source: BlobAddress | undefined
  /** Of an import: for what was refused. */
  readonly target: BlobAddress
  readonly isWithoutKeys: boolean
}

export interface Transfer extends Omit<Job, 'type'>, TransferCounts {
  readonly type: TransferType
  readonly begunAtMs: number | undefined
  readonly source: ShownBlob | undefined
  readonly target: ShownBlob
  readonly isWithoutKeys: boolean
}

/** What is told of a blob: no signature. */
export interface ShownBlob {
  readonly containerUri: string
  readonly blob: string
}

export interface TransferCounts {
  /** 0 to 100. */
  readonly percent: number
  /** Lines. */
  readonly done: number
  readonly refused: number
}

/** What services do with transfers. */
export interface Transfers {
  /** @throws JOBS_FULL */
  create(transfer: NewTransfer): Promise<Transfer>
  /** @throws JOB_UNKNOWN */
  get(id: string): Promise<Transfer>
  /** What was done stays done; one that ended already stays as it is. @throws JOB_UNKNOWN */
  cancel(id: string): Promise<void>
  /** The newest first. */
  list(countMax: number): Promise<Transfer[]>
}

/** Blocks of one writer that follow one another. */
export interface BlockRun {
  readonly writer: string
  readonly count: number
}

export interface TransferPosition {
  /** Of an import: bytes of the blob whose lines were carried out. Of an export: unused. */
  readonly bytes: number
  /** Of an import: how many lines that was. */
  readonly lines: number
  /** Of an import: which version of the blob this is; empty: it was not looked at yet. */
  readonly etag: string
  /** Of an export: where the next page begins; empty: at the beginning of its phase. */
  readonly continuation: string
  /** Of an export: devices come before their modules. */
  readonly phase: 'devices' | 'modules'
  /** Blocks of the target that were put. */
  readonly blocks: number
  /** Who put them, in their order. */
  readonly runs: readonly BlockRun[]
  /** Of an import: lines of the target that are in none of them yet. */
  readonly pending: string
}

/** What it is to do, and how far it is. */
export interface TransferState {
  readonly transfer: NewTransfer
  readonly at: TransferPosition
  readonly counts: TransferCounts
}

/** A transfer that is run. */
export interface TransferWork {
  /** `undefined`: nothing is left to do, or it ended, and its secrets are gone. @throws ROUTING_SECRETS_UNREADABLE */
  read(jobId: string): Promise<TransferState | undefined>
  /** Keeps how far it is. @throws JOB_LEASE_LOST where it ended, or is another's */
  advance(queries: Queries | undefined, lease: JobLease, at: TransferPosition, counts: TransferCounts): Promise<void>
  /** @throws JOB_LEASE_LOST as `advance` */
  expectRunning(lease: JobLease): Promise<void>
  /** The same as `advance`, where nothing is left to do: the job may be finished. */
  complete(lease: JobLease, at: TransferPosition, counts: TransferCounts): Promise<void>
  /** All there are, devices and modules. */
  countIdentities(): Promise<number>
  /** Forgets the secrets of those that ended. */
  sweep(): Promise<void>
}

export interface FoundBlob {
  readonly bytes: number
  readonly etag: string
}

/** Bytes of a version of a blob, both ends among them. */
export interface BlobRange {
  readonly first: number
  readonly last: number
  readonly etag: string
}

export interface BlockName {
  /** Of one length for all of a blob. */
  readonly writer: string
  /** In the blob, from 0. */
  readonly index: number
}

/** A container of a service that speaks as Azure Blob Storage does. Faults of all calls: ENDPOINT_UNAVAILABLE, which may pass; ENDPOINT_HELD. */
export interface TransferContainer {
  find(blob: string): Promise<FoundBlob | undefined>
  /** ENDPOINT_HELD where the blob is another one by now. */
  read(blob: string, range: BlobRange): Promise<Buffer>
  /** Puts a block of a blob that is to be, in place of one of the same name. */
  putBlock(blob: string, name: BlockName, body: Uint8Array): Promise<void>
  /** Makes the blob of these blocks, in place of one that is there. All others are gone. ENDPOINT_UNAVAILABLE where one is missing. */
  commit(blob: string, blocks: readonly BlockName[]): Promise<void>
  close(): Promise<void>
}

export interface TransferContainers {
  /** Why nothing is sent to this address; `undefined`: something may be, as far as can be seen now. */
  refusal(address: ContainerAddress): Promise<string | undefined>
  /** Whoever opens it closes it. @param ended what is under way then is waited for no longer */
  open(address: ContainerAddress, ended: AbortSignal): TransferContainer
}
