// Runs a script of the project in a Node that can: TypeScript is stripped by Node 22.18 and later, and 22 is the one that everything is
// tested with. Any other Node hands over to the one that the package brings. Plain JavaScript, since any Node must read it.
//
//   with execve         that Node takes this process's place: same id, terminal, signals and exit
//   without (Node 20)   that Node is a child. Signals go on to it, its end is the end here, and it ends with its launcher
import { spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { launcherEnv } from './end-with-launcher.js'

const pathOf = (name) => fileURLToPath(new URL(`../${name}`, import.meta.url))
const urlOf = (name) => new URL(`./${name}`, import.meta.url).href

/**
 * @param {string} script its path from this folder's parent, e.g. `infra/penstock.ts`
 * @param {readonly string[]} args
 */
export function launch(script, args) {
  const node = capableNode()
  const words = ['--import', urlOf('strip-once.js'), pathOf(script), ...args]
  if (typeof process.execve === 'function') process.execve(node, [node, ...process.execArgv, ...words], process.env)
  else launchChild(node, words)
}

/** Path of a Node 22; ends the process, with the reason, if there is none that runs here. */
function capableNode() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major === 22 && minor >= 18) return process.execPath
  // The platform package that holds it is an optional dependency: npm unpacks it without running any script.
  const own = pathOf(`node_modules/node-${process.platform}-${process.arch}/bin/node`)
  if (!existsSync(own)) {
    return refuse(
      'the package that brings one is not installed.\n' +
        'Run `npm install` without --omit=optional (Linux, x64 or arm64), or start it with Node 22.',
    )
  }
  // Afterwards nothing can be said any more: a failed execve ends the process.
  const { error, status } = spawnSync(own, ['--version'], { stdio: 'ignore' })
  if (error === undefined && status === 0) return own
  return refuse(
    `the one that the package brings cannot run here (${error?.code ?? `exit code ${status}`}).\n` +
      `It is ${own}, and needs glibc and a file system that may hold programs. Or start Penstock with Node 22.`,
  )
}

/** @returns {never} */
function refuse(reason) {
  process.stderr.write(`penstock needs Node 22.18 or a later Node 22; this is ${process.version}, and ${reason}\n`)
  process.exit(1)
}

function launchChild(node, words) {
  const env = { ...process.env, [launcherEnv]: String(process.pid) }
  const child = spawn(node, ['--import', urlOf('end-with-launcher.js'), ...words], {
    stdio: 'inherit',
    env,
  })
  for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  // A Ctrl-C reaches the child by itself, and two of them mean something else than one; whoever sends SIGINT to this process alone
  // wants it to end as well.
  process.on('SIGINT', () => child.kill('SIGTERM'))
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code)
    process.removeAllListeners(signal)
    process.kill(process.pid, signal)
  })
}
