/**
 * How CPU, memory and disk grow with connections, messages a read, body size, partitions and processes: each point is a fresh Penstock
 * under a short load. The points are appended to docs/benchmarks/scaling.json, and docs/SCALING.md is written from them.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { loadDefaults } from '#loadtest/options/load-options.ts'
import { manifestOf } from '#loadtest/result/manifest.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { loadText } from '../scaling/document.ts'
import { measurePoint } from '../scaling/measure-point.ts'
import { deviationsOf, fitModel } from '../scaling/model.ts'
import { pointsFile } from '../scaling/plan-line.ts'
import { type ScalingPoint, type ScalingRun, scalingRunsOf } from '../scaling/scaling-point.ts'
import { openFilesMax, sweepPoints } from '../scaling/sweep.ts'
import { writeScalingDocument } from '../scaling/write-document.ts'
import { benchArguments, machine } from './bench-record.ts'

/** A point that would begin later is left out, so that the sweep ends within twelve minutes. */
const beginMsMax = 10 * 60_000

async function bench(): Promise<void> {
  const args = benchArguments({ rounds: 1, seconds: 6 })
  const startedAtMs = Date.now()
  const manifest = manifestOf([{ ...loadDefaults, seconds: args.seconds }], startedAtMs, [])
  const points: ScalingPoint[] = []
  const skipped: string[] = []
  for (const [index, planned] of sweepPoints(openFilesMax()).entries()) {
    const name = `${planned.sweep}: ${loadText(planned.load)}`
    process.stdout.write(`  ${Math.round((Date.now() - startedAtMs) / 1000)} s  ${name}\n`)
    try {
      if (Date.now() - startedAtMs > beginMsMax) skipped.push(`${name}: out of time`)
      else points.push(await measurePoint(planned, index, args.seconds))
    } catch (error) {
      // One point that this machine can't do leaves the others worth having; what was lost is not a matter of the machine.
      if (!isPenstockError(error) || error.code === 'LOADTEST_LOST' || error.code === 'LOADTEST_REPEATED') throw error
      skipped.push(`${name}: ${error.message}`)
    }
  }
  for (const each of skipped) process.stdout.write(`  not done: ${each}\n`)
  const run: ScalingRun = {
    startedAt: manifest.startedAt,
    commit: manifest.commit,
    machine: machine(),
    limits: { CPUs: String(manifest.cpuCount), ...manifest.limits },
    secondsAPoint: args.seconds,
    skipped,
    points,
  }
  if (!args.isDry) {
    // Kept before they are fitted: points that are too few are still worth a look.
    const before = existsSync(pointsFile) ? scalingRunsOf(readFileSync(pointsFile, 'utf8'), pointsFile) : []
    writeFileSync(pointsFile, jsonOf([...before, run]))
    writeScalingDocument()
  }
  const heldOut = points.filter(({ sweep }) => sweep === 'held out')
  for (const { point, quantity, error } of deviationsOf(fitModel(points), heldOut))
    process.stdout.write(`  ${quantity}, ${loadText(point.load)}: ${(error * 100).toFixed(0)} %\n`)
}

/** A line a point, and no more digits than were measured. */
function jsonOf(runs: readonly ScalingRun[]): string {
  const text = JSON.stringify(runs, (_, value) => (typeof value === 'number' ? Number(value.toPrecision(6)) : value))
  return `${text.replaceAll('{"startedAt"', '\n{"startedAt"').replaceAll('{"sweep"', '\n{"sweep"')}\n`
}

if (import.meta.main) await bench()
