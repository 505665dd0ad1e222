// Strips all that an installation may load of its types (`strip-once.js`), so that also the first start finds it done. `npm install` ends
// with it, and so does the build of an image.
import { readdirSync, rmSync } from 'node:fs'
import { relative } from 'node:path'
import { folders, keptFolder, root, stripped } from './strip-once.js'

const onlyForTests = /\.(test|conformance|integration|fault|fuzz|bench)\.ts$|-fixture\.ts$/

// With what was kept of sources that are gone.
rmSync(keptFolder, { recursive: true, force: true })
for (const folder of folders)
  for (const entry of readdirSync(root + folder, { recursive: true, withFileTypes: true })) {
    const path = relative(root, `${entry.parentPath}/${entry.name}`)
    if (path.endsWith('.ts') && !onlyForTests.test(path)) stripped(path)
  }
