// Strips all that an installation may load of its types (`strip-once.js`), so that also the first start finds it done. `npm install` ends
// with it, and so does the build of an image.
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { folders, keptFolder, root, stripped } from './strip-once.js'

const onlyForTests = /\.(test|conformance|integration|fault|fuzz|bench)\.ts$|-fixture\.ts$/

for (const folder of folders) {
  for (const path of sourcesIn(root, folder)) if (!onlyForTests.test(path)) stripped(path)
  for (const path of sourcesIn(keptFolder, folder)) if (!existsSync(join(root, path))) rmSync(join(keptFolder, path))
}

function sourcesIn(place, folder) {
  if (!existsSync(join(place, folder))) return []
  const paths = readdirSync(join(place, folder), { recursive: true, encoding: 'utf8' })
  return paths.filter((path) => path.endsWith('.ts')).map((path) => join(folder, path))
}
