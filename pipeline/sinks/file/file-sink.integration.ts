import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { tableSinkConformance } from '#pipeline/endpoints/table-sink.conformance.ts'
import type { ObjectEncoding } from '#schemas/endpoint-kinds/object-fields.ts'
import { contentsOf, objectSink } from '../objects/object-sink-fixture.ts'
import { FileStore } from './file-store.ts'

const encodings: readonly ObjectEncoding[] = ['json', 'avro', 'avroDeflate', 'batches']

for (const encoding of encodings) {
  let parent = ''
  let folder = ''
  tableSinkConformance(`files (${encoding})`, {
    start: async () => {},
    stop: async () => rmSync(parent, { recursive: true, force: true }),
    clear: async () => {
      if (parent !== '') rmSync(parent, { recursive: true, force: true })
      parent = mkdtempSync(join(tmpdir(), 'penstock-files-'))
      folder = mkdtempSync(join(parent, 'folder-'))
    },
    open: async () => objectSink(new FileStore(folder, [parent]), { encoding }),
    contents: async () => await contentsOf(filesOf(folder), encoding),
    badBody: undefined,
    away: async () => {
      renameSync(folder, `${folder}.away`)
      return async () => renameSync(`${folder}.away`, folder)
    },
    openWithoutRight: undefined,
    remembersForEver: false,
  })
}

function filesOf(folder: string): Map<string, Buffer> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  const paths = files.map(({ parentPath, name }) => join(parentPath, name)).filter((path) => !path.includes('/.parts/'))
  return new Map(paths.map((path) => [path, readFileSync(path)]))
}
