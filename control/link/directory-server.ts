import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { queueLineOf } from '#control/commands/commands-json.ts'
import { linkOver } from '#control/downlink/downlink-contract.ts'
import type { EdgeFinder } from '#control/downlink/edge-finder.ts'
import { outcomeOf } from '#control/twins/twin-json.ts'
import type { DeviceTwin, DeviceTwins } from '#control/twins/twins.ts'
import { type Clock, systemClock } from '#runtime/clock.ts'
import { isListenedOn } from '#runtime/folder-use.ts'
import type { Handlers } from '#runtime/line-rpc/contract.ts'
import { LineRpc } from '#runtime/line-rpc/line-rpc.ts'
import { SocketChannel } from '#runtime/line-rpc/socket-channel.ts'
import type { Logger } from '#runtime/logger.ts'
import { isPenstockError, PenstockError } from '#schemas/errors.ts'
import type { IdentityId } from '#schemas/identity-id.ts'
import type { ServedDirectory } from './directory.ts'
import { answerMsMax, controlContract, directoryLimits, directoryVersion, edgeContract } from './directory-contract.ts'

export interface DirectoryServer {
  close(): Promise<void>
}

type EdgeConnection = LineRpc<typeof controlContract, typeof edgeContract>

/**
 * Serves the directory to the edge processes of this machine. Only the user who runs this may open the socket: it carries
 * keys. A socket file left by a process that is gone is replaced.
 * @param path see `controlSocketPath`
 * @param edges told of those that take part in the downlink
 * @throws PenstockError PORT_UNAVAILABLE if another process serves there
 */
export async function serveDirectory(
  path: string,
  directory: ServedDirectory,
  edges: EdgeFinder,
  logger: Logger,
  clock: Clock = systemClock,
): Promise<DirectoryServer> {
  const connections = new Map<Socket, EdgeConnection>()
  const handlers = handlersOf(directory)
  const server = createServer((socket) => {
    const channel = new SocketChannel(socket, directoryLimits)
    const edge: EdgeConnection = new LineRpc({
      channel,
      own: controlContract,
      handlers,
      peer: edgeContract,
      clock,
      version: directoryVersion,
      answerMsMax,
      onEnd: () => channel.destroy(),
      onPushFault: (push, reason) => logger.warn('what an edge told cannot be read', { push, reason }),
      onQuestionFault: (question, error) => logger.warn('a question of an edge failed', { question, error }),
    })
    connections.set(socket, edge)
    let remove = (): void => {}
    socket.on('close', () => {
      connections.delete(socket)
      remove()
    })
    // What takes no part, or is of a version before this, does not say a name.
    edge.ask('edge', undefined).then(
      (edgeId) => {
        if (connections.has(socket)) remove = edges.add(linkOver(edgeId, edge))
      },
      () => {},
    )
  })
  await listen(server, path)
  const unwatch = directory.onInvalidate((invalid) => {
    for (const edge of connections.values()) edge.push('invalid', invalid)
  })
  const unwatchAnnounced = directory.onAnnounced((announcement) => {
    for (const edge of connections.values()) edge.push('announced', announcement)
  })
  const unwatchDesired = directory.twins.onDesired((notice) => {
    for (const edge of connections.values()) edge.push('desired', notice)
  })
  return {
    async close() {
      unwatch()
      unwatchAnnounced()
      unwatchDesired()
      for (const socket of connections.keys()) socket.destroy()
      const closed = once(server, 'close')
      server.close()
      await closed
    },
  }
}

function handlersOf(directory: ServedDirectory): Handlers<typeof controlContract> {
  return {
    questions: {
      lookup: async (deviceIds) => {
        const found = await Promise.all(deviceIds.map((deviceId) => directory.lookup(deviceId)))
        return found.filter((device) => device !== undefined)
      },
      trust: () => directory.trust(),
      quotas: () => directory.quotas(),
      reset: ({ edgeId, atMs }) => directory.reset(edgeId, atMs),
      beat: ({ edgeId, heard }) => directory.beat(edgeId, heard),
      sessions: (ids) => directory.sessions(ids),
      keepSessions: (sessions) => directory.keepSessions(sessions),
      announce: ({ edge, opened }) => directory.announce(edge, opened),
      twins: (ids) => twinsOf(directory.twins, ids),
      wholeTwins: (ids) => directory.twins.whole(ids),
      report: (reports) => Promise.all(reports.map((report) => outcomeOf(directory.twins.report(report)))),
      desiredSince: (seen) => directory.twins.desiredSince(seen),
      seen: (ids) => directory.twins.seen(ids),
      takeCommands: async (wanted) => (await directory.takeCommands(wanted)).map(queueLineOf),
      provision: (requests) => Promise.all(requests.map((request) => directory.provision(request))),
      settleCommands: (settlements) => directory.settleCommands(settlements),
      uploadKey: async () => (await directory.uploads.uploadKey()).toString('base64'),
      beginUpload: (upload) => directory.uploads.beginUpload(upload),
      uploadName: (upload) => directory.uploads.uploadName(upload),
      copyStore: (folder) => directory.copyTo(folder),
      endUpload: (upload) => directory.uploads.endUpload(upload),
    },
    pushes: { presence: (records) => directory.report(records), saw: (seen) => directory.twins.saw(seen) },
  }
}

/** Those that are unknown are left out. */
async function twinsOf(twins: DeviceTwins, ids: readonly IdentityId[]): Promise<(IdentityId & DeviceTwin)[]> {
  const found = await Promise.all(
    ids.map(async (id) => {
      try {
        return { ...(await twins.read(id)), ...id }
      } catch (error) {
        if (isPenstockError(error) && error.disposition === 'reject') return undefined
        throw error
      }
    }),
  )
  return found.filter((twin) => twin !== undefined)
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
  // The file has its rights from the moment it is made: no other user can open it, not even for an instant.
  const before = process.umask(0o177)
  try {
    server.listen(path)
  } finally {
    process.umask(before)
  }
  await once(server, 'listening')
}
