// Loaded ahead of a script of the project: its TypeScript is stripped of types once, and not by every process at every start. That was
// half of the CPU time in which an edge was loaded, and 40 MB of the memory of each process (docs/decisions/0023-types-stripped-once.md).
//
//   .cache/stripped/ingest/edge.ts    the source with blanks for types: its lines and columns are those of the source
//                                     // v22.23.3 1f0c… 8a2e…     by which Node, check sums of the source and of what is above this line
//
// What was stripped from another source or by another Node, or is damaged, is stripped again. Where that can't be kept, a process does it
// for itself; what can't be stripped is left to Node, which says why. It all lies beside the sources: whoever may write there decides
// what is run anyway.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { registerHooks, stripTypeScriptTypes } from 'node:module'
import { dirname } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { crc32 } from 'node:zlib'

/** Of all that a process may load. */
export const folders = ['control', 'infra', 'ingest', 'loadtest', 'pipeline', 'runtime', 'schemas']
/** With a slash at its end. */
export const root = fileURLToPath(new URL('../', import.meta.url))
export const keptFolder = `${root}.cache/stripped/`

const rootUrl = pathToFileURL(root).href
const own = new RegExp(`^(${folders.join('|')})/.+\\.ts$`)

registerHooks({
  // What `imports` of package.json says, too. Node would look for packages and links on the way, which takes as long as all the rest.
  resolve(specifier, context, next) {
    const { parentURL = '' } = context
    if (!/^(#|\.\.?\/).+\.ts$/.test(specifier) || pathOf(parentURL) === undefined) return next(specifier, context)
    const url = specifier.startsWith('#') ? rootUrl + specifier.slice(1) : new URL(specifier, parentURL).href
    return pathOf(url) === undefined
      ? next(specifier, context)
      : { url, format: 'module-typescript', shortCircuit: true }
  },
  load(url, context, next) {
    const path = pathOf(url)
    const source = path && stripped(path)
    return source === undefined ? next(url, context) : { format: 'module', source, shortCircuit: true }
  },
})

/** From the root; `undefined` of what is no TypeScript of the project. */
function pathOf(url) {
  const path = url.startsWith(rootUrl) ? url.slice(rootUrl.length) : ''
  return own.test(path) ? path : undefined
}

/** @returns {string | undefined} `undefined` of what is not there, or can't be stripped */
export function stripped(path) {
  try {
    const source = readFileSync(root + path, 'utf8')
    return readKept(path, source) ?? keep(path, source, strip(source))
  } catch {
    return undefined
  }
}

function readKept(path, source) {
  try {
    const text = readFileSync(keptFolder + path, 'utf8')
    const end = text.lastIndexOf('\n') + 1
    const code = text.slice(0, end)
    return text.slice(end) === lastLine(source, code) ? code : undefined
  } catch {
    return undefined
  }
}

/** Who reads it half-written finds another check sum; two who keep it at once write the same. */
function keep(path, source, code) {
  try {
    mkdirSync(dirname(keptFolder + path), { recursive: true })
    writeFileSync(keptFolder + path, code + lastLine(source, code))
  } catch {
    // As where the program belongs to another user.
  }
  return code
}

const lastLine = (source, code) => `// ${process.version} ${crc32(source).toString(16)} ${crc32(code).toString(16)}`

/** Without the warning that calling it is an experiment: Node does the same to TypeScript, and warns of nothing. */
function strip(source) {
  const { emitWarning } = process
  process.emitWarning = () => {}
  try {
    return `${stripTypeScriptTypes(source)}\n`
  } finally {
    process.emitWarning = emitWarning
  }
}
