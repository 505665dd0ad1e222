/**
 * The directory over a local stream: one JSON value a line.
 *
 *   edge → control   {"n":1,"lookup":["d1","d2"]}          {"n":2,"trust":1}      {"n":3,"reset":"edge-0","atMs":0}
 *                    {"n":4,"beat":"edge-0","heard":[["d1",null,0],…]}
 *                    {"n":5,"announce":"kX3…","opened":[["d1",null,0],…]}    {"n":6,"quotas":1}
 *                    {"presence":[["d1",null,true,"edge-0",0],…]}
 *   control → edge   {"n":1,"found":[…]}  {"n":2,"found":{…}}  {"n":3,"found":[["d1",null],…]}  {"n":4,"found":null}
 *                    {"n":5,"found":0}  {"n":6,"found":[…]}  {"n":1,"fault":"text"}
 *                    {"invalid":{"kind":"devices","deviceIds":[…]}}  {"announced":"kX3…","opened":[["d1",null,0],…]}
 *
 * Answers come in any order. A notice that was sent before an answer arrives before it.
 */
import { createHash } from 'node:crypto'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { IdentityId } from '#schemas/identity-id.ts'
import type { ActivityRecord, PresenceRecord } from '../registry.ts'
import type { Invalidation } from './directory.ts'

export type DirectoryRequest =
  | { readonly n: number; readonly lookup: readonly string[] }
  | { readonly n: number; readonly trust: 1 }
  | { readonly n: number; readonly quotas: 1 }
  | { readonly n: number; readonly reset: string; readonly atMs: number }
  | { readonly n: number; readonly beat: string; readonly heard: readonly ActivityTuple[] }
  | { readonly n: number; readonly announce: string; readonly opened: readonly ActivityTuple[] }
  | { readonly presence: readonly PresenceTuple[] }

export type DirectoryAnswer =
  | { readonly n: number; readonly found: unknown }
  | { readonly n: number; readonly fault: string }
  | { readonly invalid: Invalidation }
  | { readonly announced: string; readonly opened: readonly ActivityTuple[] }

export type IdTuple = readonly [deviceId: string, moduleId: string | null]

type ActivityTuple = readonly [deviceId: string, moduleId: string | null, atMs: number]

type PresenceTuple = readonly [
  deviceId: string,
  moduleId: string | null,
  connected: boolean,
  edgeId: string,
  atMs: number,
]

/** Longest line: a thousand devices of fifty modules each, and the largest batch of presence, fit many times. */
const lineBytesMax = 64 * 1024 * 1024

/** Unix socket paths hold about 107 bytes; a data folder with a longer name gets a socket in the system's temporary folder. */
const socketPathBytesMax = 103

/** Where the control role listens for the edges of the same data folder. */
export function controlSocketPath(dataDir: string): string {
  const folder = resolve(dataDir)
  const path = join(folder, 'control.sock')
  if (Buffer.byteLength(path) <= socketPathBytesMax) return path
  return join(tmpdir(), `penstock-${createHash('sha256').update(folder).digest('hex').slice(0, 16)}.sock`)
}

/** Calls back for each line of the stream, parsed; ends the stream on what is not JSON or longer than allowed. */
export function onLines(socket: Socket, onValue: (value: unknown) => void): void {
  let parts: string[] = []
  let bytes = 0
  socket.setEncoding('utf8')
  socket.on('data', (chunk: string) => {
    let start = 0
    for (let end = chunk.indexOf('\n'); end >= 0; end = chunk.indexOf('\n', start)) {
      parts.push(chunk.slice(start, end))
      const line = parts.join('')
      parts = []
      bytes = 0
      start = end + 1
      let value: unknown
      try {
        value = JSON.parse(line)
      } catch {
        socket.destroy()
        return
      }
      onValue(value)
    }
    if (start === chunk.length) return
    parts.push(chunk.slice(start))
    bytes += chunk.length - start
    if (bytes > lineBytesMax) socket.destroy()
  })
}

export function writeLine(socket: Socket, value: DirectoryRequest | DirectoryAnswer): void {
  if (!socket.destroyed) socket.write(`${JSON.stringify(value)}\n`)
}

export function presenceTuple({ deviceId, moduleId, connected, edgeId, atMs }: PresenceRecord): PresenceTuple {
  return [deviceId, moduleId ?? null, connected, edgeId, atMs]
}

export function presenceRecord([deviceId, moduleId, connected, edgeId, atMs]: PresenceTuple): PresenceRecord {
  return { deviceId, moduleId: moduleId ?? undefined, connected, edgeId, atMs }
}

export function idTuple({ deviceId, moduleId }: IdentityId): IdTuple {
  return [deviceId, moduleId ?? null]
}

export function idFromTuple([deviceId, moduleId]: IdTuple): IdentityId {
  return { deviceId, moduleId: moduleId ?? undefined }
}

export function activityTuple({ deviceId, moduleId, atMs }: ActivityRecord): ActivityTuple {
  return [deviceId, moduleId ?? null, atMs]
}

export function activityRecord([deviceId, moduleId, atMs]: ActivityTuple): ActivityRecord {
  return { deviceId, moduleId: moduleId ?? undefined, atMs }
}
