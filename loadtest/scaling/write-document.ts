/** Writes docs/SCALING.md and its pictures from the kept points: `node infra/run.js loadtest/scaling/write-document.ts`. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type ScalingDocument, scalingDocument } from './document.ts'
import { pointsFile } from './plan-line.ts'
import { newestRunOf } from './scaling-point.ts'

const docs = join(import.meta.dirname, '../../docs')

/** @throws LOADTEST_OPTIONS_INVALID, LOADTEST_MODEL_UNFITTED */
export function keptScalingDocument(): ScalingDocument {
  return scalingDocument(newestRunOf(readFileSync(pointsFile, 'utf8'), pointsFile))
}

export function writeScalingDocument(): void {
  const document = keptScalingDocument()
  writeFileSync(join(docs, 'SCALING.md'), document.markdown)
  mkdirSync(join(docs, 'scaling'), { recursive: true })
  for (const [file, svg] of document.pictures) writeFileSync(join(docs, 'scaling', file), svg)
}

if (import.meta.main) writeScalingDocument()
