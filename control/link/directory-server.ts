import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { isListenedOn } from '#runtime/folder-use.ts'
import type { Logger } from '#runtime/logger.ts'
import { PenstockError } from '#schemas/errors.ts'
import type { Directory } from './directory.ts'
import {
  activityRecord,
  activityTuple,
  type DirectoryAnswer,
  type DirectoryRequest,
  idTuple,
  onLines,
  presenceRecord,
  writeLine,
} from './directory-contract.ts'

export interface DirectoryServer {
  close(): Promise<void>
}

/** Bytes that an edge has not read: beyond it the edge is stuck, and asks again from the beginning once it is back. */
const unreadBytesMax = 256 * 1024 * 1024

/**
 * Serves the directory to the edge processes of this machine. Only the user who runs this may open the socket: it carries
 * keys. A socket file left by a process that is gone is replaced.
 * @param path see `controlSocketPath`
 * @throws PenstockError PORT_UNAVAILABLE if another process serves there
 */
export async function serveDirectory(path: string, directory: Directory, logger: Logger): Promise<DirectoryServer> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => socket.destroy())
    socket.on('close', () => sockets.delete(socket))
    onLines(socket, (value) => {
      if (isRequest(value)) void answer(socket, value, directory, logger)
      else socket.destroy()
    })
  })
  await listen(server, path)
  const tellAll = (told: DirectoryAnswer): void => {
    for (const socket of sockets) {
      if (socket.writableLength > unreadBytesMax) socket.destroy()
      else writeLine(socket, told)
    }
  }
  const unwatch = directory.onInvalidate((invalid) => tellAll({ invalid }))
  const unwatchAnnounced = directory.onAnnounced(({ edge, opened }) =>
    tellAll({ announced: edge, opened: opened.map(activityTuple) }),
  )
  return {
    async close() {
      unwatch()
      unwatchAnnounced()
      for (const socket of sockets) socket.destroy()
      const closed = once(server, 'close')
      server.close()
      await closed
    },
  }
}

async function answer(socket: Socket, request: DirectoryRequest, directory: Directory, logger: Logger): Promise<void> {
  if ('presence' in request) {
    directory.report(request.presence.map(presenceRecord))
    return
  }
  try {
    writeLine(socket, { n: request.n, found: await foundFor(request, directory) })
  } catch (error) {
    logger.warn('a look-up for an edge failed', { error })
    writeLine(socket, { n: request.n, fault: error instanceof Error ? error.message : 'failed' })
  }
}

async function foundFor(
  request: Exclude<DirectoryRequest, { presence: unknown }>,
  directory: Directory,
): Promise<unknown> {
  if ('trust' in request) return directory.trust()
  if ('quotas' in request) return directory.quotas()
  if ('reset' in request) return (await directory.reset(request.reset, request.atMs)).map(idTuple)
  if ('beat' in request) {
    await directory.beat(request.beat, request.heard.map(activityRecord))
    return null
  }
  if ('announce' in request) return directory.announce(request.announce, request.opened.map(activityRecord))
  const found = await Promise.all(request.lookup.map((deviceId) => directory.lookup(deviceId)))
  return found.filter((device) => device !== undefined)
}

/** The other side is this project's own; what is checked is that nothing else speaks. */
function isRequest(value: unknown): value is DirectoryRequest {
  if (typeof value !== 'object' || value === null) return false
  if ('presence' in value) return Array.isArray(value.presence) && value.presence.every(Array.isArray)
  if (!('n' in value) || typeof value.n !== 'number') return false
  if ('lookup' in value) {
    return Array.isArray(value.lookup) && value.lookup.every((deviceId) => typeof deviceId === 'string')
  }
  if ('beat' in value) {
    return (
      typeof value.beat === 'string' &&
      'heard' in value &&
      Array.isArray(value.heard) &&
      value.heard.every(Array.isArray)
    )
  }
  if ('announce' in value) {
    return (
      typeof value.announce === 'string' &&
      'opened' in value &&
      Array.isArray(value.opened) &&
      value.opened.every(Array.isArray)
    )
  }
  return 'trust' in value || 'quotas' in value || ('reset' in value && typeof value.reset === 'string')
}

/** @throws PenstockError PORT_UNAVAILABLE if another process serves at `path` */
export async function assertUnserved(path: string): Promise<void> {
  if (await isListenedOn(path))
    throw new PenstockError(
      'PORT_UNAVAILABLE',
      `a control role serves this data folder already, at ${path}: stop that one, or give this one another PENSTOCK_DATA_DIR`,
    )
}

async function listen(server: Server, path: string): Promise<void> {
  try {
    await bind(server, path)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EADDRINUSE')) {
      throw new PenstockError('PORT_UNAVAILABLE', `cannot listen on ${path}`, { cause: error })
    }
    await assertUnserved(path)
    rmSync(path, { force: true })
    await bind(server, path)
  }
}

async function bind(server: Server, path: string): Promise<void> {
  // The file gets its rights when it is made: nobody else can open it even for a moment.
  const before = process.umask(0o177)
  try {
    server.listen(path)
  } finally {
    process.umask(before)
  }
  await once(server, 'listening')
}
