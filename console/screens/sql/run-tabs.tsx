import { countedText } from '#console/data/format.ts'
import { Tabs } from '#console/parts/tabs.tsx'
import type { Run, Runs } from './use-runs.ts'

/** The statements that were run together, to look at what came of each. */
export function RunTabs({ runs: { all, shown, choose } }: { readonly runs: Runs }) {
  if (all.length < 2 || shown === undefined) return null
  return (
    <Tabs
      label="statements"
      tabs={all.map((run, index) => ({ id: String(index), title: `${index + 1}: ${stateOf(run)}` }))}
      current={String(all.indexOf(shown))}
      onChange={(id) => choose(Number(id))}
    />
  )
}

function stateOf({ result, error }: Run): string {
  if (error !== undefined || result?.fault !== undefined) return 'failed'
  return result?.isDone ? countedText(result.rows.length, 'row') : 'runs'
}
