#!/usr/bin/env node
// Runs penstock.ts with a Node that can: TypeScript is stripped by Node 22.18 and later, and 22 is the one that everything is
// tested with. Any other Node hands over to the one that the package brings as its dependency.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const [major, minor] = process.versions.node.split('.').map(Number)
if (major === 22 && minor >= 18) await import('./penstock.ts')
else {
  // The platform package that holds it is an optional dependency: npm unpacks it without running any script.
  const own = fileURLToPath(
    new URL(`../node_modules/node-${process.platform}-${process.arch}/bin/node`, import.meta.url),
  )
  if (!existsSync(own)) {
    process.stderr.write(
      `penstock needs Node 22.18 or a later Node 22; this is ${process.version}, and the package that brings one is not installed.\n` +
        'Run `npm install` without --omit=optional (Linux, x64 or arm64), or start it with Node 22.\n',
    )
    process.exit(1)
  }
  const script = fileURLToPath(new URL('./penstock.ts', import.meta.url))
  const child = spawn(own, [script, ...process.argv.slice(2)], { stdio: 'inherit' })
  // The child decides when it ends; a Ctrl-C reaches it by itself.
  process.on('SIGINT', () => {})
  process.on('SIGTERM', () => child.kill('SIGTERM'))
  child.on('exit', (code) => process.exit(code ?? 1))
}
