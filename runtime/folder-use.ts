/**
 * Which living processes use a folder, as the kernel knows it.
 *
 *   announce ── listen on a local socket in the folder, then give it its name: whoever sees the name finds a listener
 *   look     ── connect to the others' sockets: taken, its process lives; refused, it is gone, and its name is removed
 *
 * A process id proves nothing: each container counts its own, so two that share a volume may both be process 7, and neither sees the
 * other. A listening socket ends with its process however that ends, and is found through the file system, which they share. Who
 * announces before looking can't be missed: of two who come at once at least one sees the other.
 *
 * Holds on one kernel, whatever namespaces the processes have; not for machines that share a folder over a network.
 */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, constants, mkdirSync, openSync, readdirSync, renameSync, rmSync, unlinkSync } from 'node:fs'
import { connect, createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'

export interface FolderUse {
  /** Names under which other living processes, or other uses of this one, are announced now. */
  others(): Promise<string[]>
  /** Names of those whose process is gone, since somebody last looked: each is told once, to one of all that look. */
  departed(): Promise<string[]>
  end(): void
}

/** Longest name of a local socket that every system takes, its final zero left out. */
const socketPathBytesMax = 103

/** A name, what makes it unique, and the dot before both are announced. */
const nameLengthMax = 40
const separator = '~'
const uniqueBytes = 6
const entryBytesMax = 1 + nameLengthMax + separator.length + 2 * uniqueBytes

/**
 * Announces that this process uses what `folder` stands for, until `end` or the process's own end.
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
 * Makes this use the only one of `folder`. Who comes while another is there withdraws without having touched anything; of several
 * who come at once all may, so they come again after a moment of chance.
 * @param mayShare true of the name of another use that may be there, too
 * @returns its use, or the name of who has the folder
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
      // One without a name is not announced yet, or was killed before it was.
      if (entry === own || entry.startsWith('.')) continue
      const name = entry.slice(0, entry.lastIndexOf(separator))
      if (await isListenedOn(join(place, entry))) living.push(name)
      else if (removed(join(folder, entry))) departed.push(name)
    }
  })
  return { living, departed }
}

/** False if somebody else has. */
function removed(path: string): boolean {
  try {
    unlinkSync(path)
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false
    throw error
  }
}

/** True if a process listens on the local socket `path`, or may: one that can't be asked, another user's say, counts as living. */
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

/** Linux names an open folder anew, in a few bytes. */
async function withShortPath(folder: string, action: (place: string) => Promise<void>): Promise<void> {
  const longest = Buffer.byteLength(folder) + 1 + entryBytesMax
  if (longest <= socketPathBytesMax || process.platform !== 'linux') return await action(folder)
  const descriptor = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    await action(`/proc/self/fd/${descriptor}`)
  } finally {
    closeSync(descriptor)
  }
}
