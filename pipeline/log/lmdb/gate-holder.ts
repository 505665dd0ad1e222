/** For tests, a process of its own: `node lmdb-gate-holder.ts <folder>` writes that it is inside the gate, stays a while, and writes that it left. */
import { writeSync } from 'node:fs'
import * as lmdb from 'lmdb'
import { blockThread } from '#runtime/block-thread.ts'
import { LmdbGate } from './gate.ts'

const [folder] = process.argv.slice(2)

if (folder !== undefined)
  new LmdbGate(lmdb, folder).within(() => {
    writeSync(1, 'inside ')
    blockThread(500)
    writeSync(1, 'left')
  })
