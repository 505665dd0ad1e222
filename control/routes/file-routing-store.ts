/**
 *   <folder>/document.json      {"revision", "changedAtMs", "document"}
 *   <folder>/routers/<id>.json  the last report of a router
 *   <folder>/replays/<id>.json  {"replay", "ended"}
 *
 * Files are replaced whole. One process writes the document: the control role of the data folder.
 */
import { readdirSync, readFileSync, statSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { type Clock, systemClock } from '#runtime/clock.ts'
import { makePrivateFolder, replacePrivateFile } from '#runtime/private-files.ts'
import { PenstockError } from '#schemas/errors.ts'
import { type KeptReplay, type ReplayDocument, type ReplayOutcome, replayIdPattern } from '#schemas/routing/replay.ts'
import { emptyRouting, type RoutingDocument } from '#schemas/routing/routing.ts'
import {
  noticeMsMax,
  type RouterReport,
  type RoutingRevision,
  type RoutingStore,
  replayKeptMs,
  reportMsMax,
} from './routes.ts'

export class FileRoutingStore implements RoutingStore {
  readonly #folder: string
  readonly #clock: Clock
  readonly #listeners = new Set<() => void>()
  #watch: NodeJS.Timeout | undefined
  #seen = ''

  constructor(folder: string, clock: Clock = systemClock) {
    this.#folder = folder
    this.#clock = clock
  }

  async read(): Promise<RoutingRevision> {
    const text = textOf(this.#documentFile)
    if (text === undefined) return { revision: 0, changedAtMs: 0, document: emptyRouting }
    return revisionFrom(text, this.#documentFile)
  }

  async write(document: RoutingDocument, ifRevision: number | undefined): Promise<RoutingRevision> {
    const { revision } = await this.read()
    if (ifRevision !== undefined && ifRevision !== revision)
      throw new PenstockError('ROUTING_ETAG_STALE', `the routes are at revision ${revision}, not ${ifRevision}`)
    const next = { revision: revision + 1, changedAtMs: this.#clock.nowMs(), document }
    makePrivateFolder(this.#folder)
    replacePrivateFile(this.#documentFile, JSON.stringify(next))
    this.#look()
    return next
  }

  onChange(listener: () => void): () => void {
    if (this.#watch === undefined) {
      this.#seen = this.#stamp()
      this.#watch = setInterval(() => this.#look(), noticeMsMax / 2)
      this.#watch.unref()
    }
    this.#listeners.add(listener)
    return () => {
      this.#listeners.delete(listener)
      if (this.#listeners.size === 0) this.#stopWatching()
    }
  }

  async report(report: RouterReport): Promise<void> {
    makePrivateFolder(this.#routersFolder)
    replacePrivateFile(join(this.#routersFolder, `${encodeURIComponent(report.router)}.json`), JSON.stringify(report))
  }

  async reports(): Promise<RouterReport[]> {
    const heard: RouterReport[] = []
    for (const name of namesIn(this.#routersFolder)) {
      const file = join(this.#routersFolder, name)
      const report = reportFrom(textOf(file))
      if (report !== undefined && report.atMs > this.#clock.nowMs() - reportMsMax) heard.push(report)
      else if (report !== undefined) unlinkSync(file)
    }
    return heard
  }

  async addReplay(replay: ReplayDocument): Promise<void> {
    for (const { ended, replay: old } of await this.replays())
      if (ended !== undefined && ended.atMs < this.#clock.nowMs() - replayKeptMs) unlinkSync(this.#replayFile(old.id))
    makePrivateFolder(this.#replaysFolder)
    replacePrivateFile(this.#replayFile(replay.id), JSON.stringify({ replay }))
  }

  async replays(): Promise<KeptReplay[]> {
    return namesIn(this.#replaysFolder)
      .map((name) => replayFrom(textOf(join(this.#replaysFolder, name))))
      .filter((kept) => kept !== undefined)
      .sort((one, other) => one.replay.begunAtMs - other.replay.begunAtMs)
  }

  async endReplay(id: string, as: ReplayOutcome): Promise<boolean> {
    const kept = (await this.replays()).find(({ replay }) => replay.id === id)
    if (kept === undefined || kept.ended !== undefined) return false
    const ended = { as, atMs: this.#clock.nowMs() }
    replacePrivateFile(this.#replayFile(id), JSON.stringify({ replay: kept.replay, ended }))
    return true
  }

  async close(): Promise<void> {
    this.#listeners.clear()
    this.#stopWatching()
  }

  get #documentFile(): string {
    return join(this.#folder, 'document.json')
  }

  get #routersFolder(): string {
    return join(this.#folder, 'routers')
  }

  get #replaysFolder(): string {
    return join(this.#folder, 'replays')
  }

  #replayFile(id: string): string {
    return join(this.#replaysFolder, `${id}.json`)
  }

  #look(): void {
    const stamp = this.#stamp()
    if (stamp === this.#seen) return
    this.#seen = stamp
    for (const listener of this.#listeners) listener()
  }

  /** A file that was replaced is another one. */
  #stamp(): string {
    try {
      const { ino, mtimeMs, size } = statSync(this.#documentFile)
      return `${ino} ${mtimeMs} ${size}`
    } catch {
      return ''
    }
  }

  #stopWatching(): void {
    clearInterval(this.#watch)
    this.#watch = undefined
  }
}

/** @param place where it stands @throws STORE_UNAVAILABLE if it is none, such as one of a newer program */
export function revisionFrom(text: string, place: string): RoutingRevision {
  let cause: unknown
  try {
    const read = JSON.parse(text) as Partial<RoutingRevision>
    const { revision, changedAtMs, document } = read
    const isWhole =
      Number.isInteger(revision) &&
      Number.isFinite(changedAtMs) &&
      [document?.routes, document?.enrichments, document?.endpoints].every(Array.isArray)
    if (isWhole) return read as RoutingRevision
  } catch (error) {
    cause = error
  }
  throw new PenstockError('STORE_UNAVAILABLE', `${place} is not a document of routes`, { cause })
}

/** `undefined` of what is no report, such as one of a newer program. */
export function reportFrom(text: string | undefined): RouterReport | undefined {
  try {
    const report = JSON.parse(text ?? '') as Partial<RouterReport>
    const isWhole = typeof report.router === 'string' && Number.isFinite(report.atMs) && Array.isArray(report.endpoints)
    return isWhole ? (report as RouterReport) : undefined
  } catch {
    return undefined
  }
}

/** `undefined` of what is no replay. */
export function replayFrom(text: string | undefined): KeptReplay | undefined {
  try {
    const { replay, ended } = JSON.parse(text ?? '') as Partial<KeptReplay>
    const isWhole = typeof replay?.endpoint === 'string' && replayIdPattern.test(replay.id)
    return isWhole ? { replay, ended } : undefined
  } catch {
    return undefined
  }
}

function textOf(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new PenstockError('STORE_UNAVAILABLE', `${file} cannot be read`, { cause: error })
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).filter((name) => name.endsWith('.json'))
  } catch {
    return []
  }
}
