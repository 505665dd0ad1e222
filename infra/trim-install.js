// After `npm install`: removes what packages bring for other Nodes and for building, half of what is installed beside the engine.
// Penstock runs in Node 22 only (launch.js) and builds nothing. Without this, as with --ignore-scripts, all works the same, in more room.
import { readdirSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** Version of the interface between Node and binaries: that of Node 22. */
const nodeAbi = 127

const packages = fileURLToPath(new URL('../node_modules/', import.meta.url))
const binaries = `${packages}uWebSockets.js/dist/bin/`

/** Names in a folder; none if it is not there, as with --omit=optional. */
function namesIn(folder) {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

const unused = [
  ...namesIn(binaries)
    .filter((name) => /_\d+\.node$/.test(name) && !name.endsWith(`_${nodeAbi}.node`))
    .map((name) => binaries + name),
  ...namesIn(packages)
    .filter((name) => name.startsWith('node-linux-'))
    .map((name) => `${packages}${name}/include`),
]
for (const path of unused) {
  try {
    rmSync(path, { recursive: true, force: true })
  } catch {
    // It only takes room.
  }
}
