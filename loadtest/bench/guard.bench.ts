/**
 * The guard of the hot path: an earlier commit is built beside this tree, and both are measured in turns. `npm run bench -- guard <commit>`
 * prints the ratio of each line, this tree's figure ÷ the commit's, and fails where one is above 1.05.
 *
 *   commit ── git worktree, npm install ──▶ before ┐
 *   this tree ────────────────────────────▶ now    ┴─ each round: every line of one, then of the other
 */

import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { Role, RunningPenstock } from '#infra/testbed/penstock.ts'
import { type LoadOptions, loadDefaults } from '#loadtest/options/load-options.ts'
import { runLoad } from '#loadtest/run/run-load.ts'
import { freePort } from '#runtime/free-ports.ts'
import { residentBytesOf } from '#runtime/processes.ts'
import { BenchRecord, benchArguments, type Measured } from './bench-record.ts'
import { startMeasured } from './measured-penstock.ts'
import { loadPosts, onGeneratorCpu, untilAnswered } from './n4-http.bench.ts'

const ratioMax = 1.05
const targetCpu = '0'
const generatorCpu = '1'
const bothCpus = '0,1'
/** Not measured: code is compiled, files and heaps grow, an edge finds out that gathering pays. */
const warmUpSeconds = 3
const idleConnections = 10_000
const restMs = 5_000

interface Tree {
  readonly name: 'before' | 'now'
  readonly root: string
}

type Add = (figure: string, value: number) => void

const root = join(import.meta.dirname, '../..')

async function bench(): Promise<void> {
  const args = benchArguments({ rounds: 3, seconds: 10 })
  const { commit } = args
  if (commit === undefined) throw new Error('npm run bench -- guard <commit>')
  const record = new BenchRecord('guard', 'The hot path against an earlier commit')
  const before = treeOf(commit)
  try {
    const trees: readonly Tree[] = [
      { name: 'before', root: before },
      { name: 'now', root },
    ]
    const figures = new Set<string>()
    for (const tree of trees) record.add(`${tree.name}: installed, MB`, installedMegabytes(tree))
    figures.add('installed, MB')
    for (let round = 0; round < args.rounds; round++) {
      // Whoever is first in a round finds another machine than whoever is second: they change places.
      for (const tree of round % 2 === 0 ? trees : [...trees].reverse())
        for (const measure of [saturating, manyDevices, posts, idle, atRest])
          await measure(tree, args.seconds, (figure, value) => {
            figures.add(figure)
            record.add(`${tree.name}: ${figure}`, value)
          })
    }
    const ratios = [...figures].map((figure) => ({ figure, ...ratioOf(record, figure) }))
    const above = ratios.filter(({ ratio }) => ratio > ratioMax)
    record.finish(
      above.length === 0
        ? `**No line above ${ratioMax}.**`
        : `**Above ${ratioMax}: ${above.map(({ figure, ratio }) => `${figure} ${ratio.toFixed(2)}`).join(', ')}.**`,
      `Against commit ${commit}; the target on CPU ${targetCpu} and the generator on CPU ${generatorCpu}, all on both where it saturates.`,
      args,
      tableOf(ratios),
    )
    process.exitCode = above.length === 0 ? 0 : 1
  } finally {
    execFileSync('git', ['worktree', 'remove', '--force', before], { cwd: root, stdio: 'ignore' })
  }
}

function treeOf(commit: string): string {
  const folder = join(mkdtempSync(join(tmpdir(), 'penstock-guard-')), 'tree')
  execFileSync('git', ['worktree', 'add', '--detach', folder, commit], { cwd: root, stdio: 'ignore' })
  install(folder)
  return folder
}

/** As whoever runs it would; its Node is this one. */
function install(folder: string): void {
  const args = ['install', '--ignore-scripts', '--no-audit', '--no-fund']
  execFileSync('npm', args, { cwd: folder, stdio: 'ignore' })
}

function installedMegabytes(tree: Tree): number {
  const folder = mkdtempSync(join(tmpdir(), 'penstock-guard-'))
  try {
    for (const file of ['package.json', 'package-lock.json', '.npmrc'])
      if (existsSync(join(tree.root, file))) cpSync(join(tree.root, file), join(folder, file))
    install(folder)
    return Number(execFileSync('du', ['-sm', join(folder, 'node_modules')], { encoding: 'utf8' }).split('\t')[0])
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** What edges and worker pay for a message when devices send all that is taken. */
async function saturating(tree: Tree, seconds: number, add: Add): Promise<void> {
  const target = await startMeasured('start', { cpuList: bothCpus, root: tree.root })
  try {
    const load = { ...loadDefaults, url: target.mqttUrl, rate: 'saturate', cpuList: bothCpus } as const
    const cpu = await cpuOfLoad(target, ['edge', 'worker'], { ...load, run: 'guardfull', seconds })
    add('saturating QoS 1: edge, µs of CPU a message', cpu.edge ?? Number.NaN)
    add('saturating QoS 1: worker, µs of CPU a message', cpu.worker ?? Number.NaN)
  } finally {
    await target.stop()
  }
}

async function manyDevices(tree: Tree, seconds: number, add: Add): Promise<void> {
  const target = await startMeasured('edge', { cpuList: targetCpu, root: tree.root })
  try {
    const load = { ...loadDefaults, url: target.mqttUrl, connections: 1_000, rate: 50_000, cpuList: generatorCpu }
    const cpu = await cpuOfLoad(target, ['edge'], { ...load, run: 'guardmany', seconds })
    add('1,000 devices × 50/s: edge, µs of CPU a message', cpu.edge ?? Number.NaN)
  } finally {
    await target.stop()
  }
}

/** µs of CPU a message of each role, after a warm-up. */
async function cpuOfLoad(
  target: RunningPenstock,
  roles: readonly Role[],
  load: LoadOptions,
): Promise<Record<string, number>> {
  await runLoad({ ...load, run: `${load.run}warm`, seconds: warmUpSeconds })
  const before = roles.map((role) => target.cpuSeconds(role))
  const { counts } = await runLoad(load)
  return Object.fromEntries(
    roles.map((role, index) => [role, ((target.cpuSeconds(role) - (before[index] ?? 0)) * 1e6) / counts.atEnd.settled]),
  )
}

async function posts(tree: Tree, seconds: number, add: Add): Promise<void> {
  const port = await freePort()
  const environment = { PENSTOCK_HTTP_PORT: String(port) }
  const target = await startMeasured('edge', { cpuList: targetCpu, root: tree.root, environment })
  try {
    await untilAnswered(port)
    await loadPosts(port, warmUpSeconds)
    const before = target.cpuSeconds()
    const { requests } = await loadPosts(port, seconds)
    add('HTTP: edge, µs of CPU a POST', ((target.cpuSeconds() - before) * 1e6) / requests)
  } finally {
    await target.stop()
  }
}

async function idle(tree: Tree, seconds: number, add: Add): Promise<void> {
  const target = await startMeasured('edge', { cpuList: undefined, root: tree.root })
  try {
    const before = residentBytesOf(target.pid)
    let after = before
    const onProgress = ({ open }: { readonly open: number }) => {
      if (open === idleConnections) after = residentBytesOf(target.pid)
    }
    const load = {
      ...loadDefaults,
      url: target.mqttUrl,
      run: 'guardidle',
      connections: idleConnections,
      rate: 0,
      seconds,
    }
    await runLoad(load, { onProgress })
    add('an idle connection, KB', (after - before) / idleConnections / 1024)
  } finally {
    await target.stop()
  }
}

async function atRest(tree: Tree, _seconds: number, add: Add): Promise<void> {
  const startedAtMs = performance.now()
  const target = await startMeasured('start', { cpuList: bothCpus, root: tree.root })
  try {
    add('first start until all is ready, s', (performance.now() - startedAtMs) / 1_000)
    await setTimeout(restMs)
    add('all processes at rest, MB', target.residentBytes() / 2 ** 20)
  } finally {
    await target.stop()
  }
}

function ratioOf(record: BenchRecord, figure: string) {
  const nothing: Measured = { median: Number.NaN, least: Number.NaN, most: Number.NaN }
  const before = record.measured(`before: ${figure}`) ?? nothing
  const now = record.measured(`now: ${figure}`) ?? nothing
  return { before, now, ratio: now.median / before.median }
}

function tableOf(
  ratios: readonly {
    readonly figure: string
    readonly before: Measured
    readonly now: Measured
    readonly ratio: number
  }[],
): string {
  const shown = ({ median, least, most }: Measured) =>
    `${median.toPrecision(3)} (${least.toPrecision(3)} … ${most.toPrecision(3)})`
  const rows = ratios.map(
    ({ figure, before, now, ratio }) => `| ${figure} | ${shown(before)} | ${shown(now)} | ${ratio.toFixed(2)} |`,
  )
  return ['| figure | before | now | ratio |\n|---|---|---|---|', ...rows].join('\n')
}

if (import.meta.main) {
  await onGeneratorCpu()
  await bench()
}
