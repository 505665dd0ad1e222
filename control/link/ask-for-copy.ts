import { connect } from 'node:net'
import type { StoreCopy } from '#control/store/copy-store.ts'
import { systemClock } from '#runtime/clock.ts'
import { LineRpc } from '#runtime/line-rpc/line-rpc.ts'
import { SocketChannel } from '#runtime/line-rpc/socket-channel.ts'
import { controlContract, directoryLimits, directoryVersion } from './directory-contract.ts'

/** A registry of millions of devices takes minutes. */
const copyMsMax = 3_600_000

/**
 * Lets the process that serves the store at `path` copy it.
 * @param folder absolute, writable for that process @returns `undefined` where there is no store yet
 * @throws LINK_LOST, LINK_VERSION_REFUSED, LINK_QUESTION_UNKNOWN (of an earlier version), what `copyStore` throws
 */
export async function askForCopy(path: string, folder: string): Promise<StoreCopy | undefined> {
  const channel = new SocketChannel(connect(path), directoryLimits)
  const nothing = { questions: {}, pushes: {} } as const
  const link = new LineRpc({
    channel,
    own: nothing,
    handlers: nothing,
    peer: controlContract,
    clock: systemClock,
    version: directoryVersion,
    answerMsMax: copyMsMax,
    onEnd: () => channel.destroy(),
    // What all edges are told, of which this is none.
    onPushFault: () => {},
  })
  try {
    await link.agree()
    return await link.ask('copyStore', folder)
  } finally {
    link.close()
  }
}
