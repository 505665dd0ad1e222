/**
 * Finds out from the kernel which living processes use a folder.
 *
 *   announce ── listen on a local socket in the folder, then give it its name: whoever sees the name finds a listener
 *   look     ── connect to the others' sockets: accepted, its process lives; refused, it is gone, and its name is removed
 *
 * A process id proves nothing. Each container counts its own, so two containers that share a volume may both have a process 7, and neither
 * sees the other. A listening socket ends with its process, however the process ends. It is found through the file system, which both
 * share. Each process announces itself before it looks: so of two that come at once, at least one sees the other.
 *
 * This holds on one kernel, whatever namespaces the processes have. It does not hold for machines that share a folder over a network.
 */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import {
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
} from 'node:fs'
import { connect, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout } from 'node:timers/promises'

export interface FolderUse {
  /** Names of the uses that are announced now: by other living processes, or by this one a second time. */
  others(): Promise<string[]>
  /** Names of uses whose process ended since somebody last looked. Each is told once, to only one of all that look. */
  departed(): Promise<string[]>
  end(): void
}

/** Longest name of a local socket that every system accepts, without its final zero. */
const socketPathBytesMax = 103

/** An entry is a name, a separator and a unique part. A dot stands before it until it is announced. */
const nameLengthMax = 40
const separator = '~'
const uniqueBytes = 6
const entryBytesMax = 1 + nameLengthMax + separator.length + 2 * uniqueBytes

/**
 * Announces that this process uses what `folder` stands for, until `end` is called or the process ends.
 * @param folder holds nothing else; made if there is none, for this user alone
 * @param name what others are told, at most 40 characters of it
 */
export async function announceUse(folder: string, name: string): Promise<FolderUse> {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const plain = name.replaceAll(/[^\w .-]/g, '_').slice(0, nameLengthMax)
  const own = `${plain}${separator}${randomBytes(uniqueBytes).toString('hex')}`
  const server = createServer((socket) => socket.destroy()).unref()
  const nameless = `.${own}`
  await withShortPath(folder, (place) => listening(server, join(place, nameless)))
  renameSync(join(folder, nameless), join(folder, own))
  return {
    others: async () => (await lookAround(folder, own)).living,
    departed: async () => (await lookAround(folder, own)).departed,
    end() {
      rmSync(join(folder, own), { force: true })
      server.close()
    },
  }
}

const claimAttemptsMax = 5
const claimDelayMsMax = 100

/**
 * Makes this use the only one of `folder`. A process that comes while another is there withdraws without having touched anything. Of
 * several that come at once all may withdraw. So they try again after a random delay.
 * @param mayShare true of the name of another use that may be there, too
 * @returns this use, or the name of the use that has the folder
 */
export async function claimFolder(
  folder: string,
  name: string,
  mayShare: (other: string) => boolean = () => false,
): Promise<FolderUse | string> {
  for (let attempt = 1; ; attempt++) {
    const use = await announceUse(folder, name)
    const other = (await use.others()).find((one) => !mayShare(one))
    if (other === undefined) return use
    use.end()
    if (attempt === claimAttemptsMax) return other
    await setTimeout(Math.random() * claimDelayMsMax)
  }
}

async function lookAround(folder: string, own: string): Promise<{ living: string[]; departed: string[] }> {
  const living: string[] = []
  const departed: string[] = []
  await withShortPath(folder, async (place) => {
    for (const entry of readdirSync(folder)) {
      // An entry that begins with a dot is not announced yet, or its process was killed before it was.
      if (entry === own || entry.startsWith('.')) continue
      const name = entry.slice(0, entry.lastIndexOf(separator))
      if (await isListenedOn(join(place, entry))) living.push(name)
      else if (removed(join(folder, entry))) departed.push(name)
    }
  })
  return { living, departed }
}

/** False if somebody else has removed it. */
function removed(path: string): boolean {
  try {
    unlinkSync(path)
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false
    throw error
  }
}

/** True if a process listens on the local socket `path`, or may. A socket that can't be asked, such as another user's, counts as living. */
export function isListenedOn(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    socket.on('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.on('error', (error: NodeJS.ErrnoException) =>
      resolve(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT'),
    )
  })
}

async function listening(server: Server, path: string): Promise<void> {
  server.listen(path)
  await once(server, 'listening')
}

/** A short path of the folder: the one that Linux gives an open folder, or a link where there is no /proc. */
async function withShortPath(folder: string, action: (place: string) => Promise<void>): Promise<void> {
  const longest = Buffer.byteLength(folder) + 1 + entryBytesMax
  if (longest <= socketPathBytesMax || process.platform !== 'linux') return await action(folder)
  const descriptor = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    const place = `/proc/self/fd/${descriptor}`
    if (existsSync(place)) await action(place)
    else await withLink(folder, action)
  } finally {
    closeSync(descriptor)
  }
}

async function withLink(folder: string, action: (place: string) => Promise<void>): Promise<void> {
  const own = mkdtempSync(join(tmpdir(), 'p-'))
  const link = join(own, 'f')
  try {
    symlinkSync(resolve(folder), link)
    await action(link)
  } finally {
    rmSync(own, { recursive: true, force: true })
  }
}
