/** `node infra/run.js infra/observability/boards.ts`: writes the boards that Grafana reads to docs/grafana/boards/. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Dashboard } from '@grafana/grafana-foundation-sdk/dashboard'
import { costBoard } from './boards/cost.ts'
import { deliveryBoard } from './boards/delivery.ts'
import { deviceBoard } from './boards/device.ts'
import { edgeBoard } from './boards/edge.ts'
import { fleetBoard } from './boards/fleet.ts'

export const boardFolder = join(import.meta.dirname, '../../docs/grafana/boards')

/** By the names of their files. */
export function boards(): Readonly<Record<string, Dashboard>> {
  return {
    'fleet.json': fleetBoard(),
    'device.json': deviceBoard(),
    'delivery.json': deliveryBoard(),
    'edge.json': edgeBoard(),
    'cost.json': costBoard(),
  }
}

export function boardText(board: Dashboard): string {
  return `${JSON.stringify(board, undefined, 2)}\n`
}

if (import.meta.main)
  for (const [name, board] of Object.entries(boards())) writeFileSync(join(boardFolder, name), boardText(board))
