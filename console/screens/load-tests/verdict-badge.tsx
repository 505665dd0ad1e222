import { Badge } from '#console/parts/notice.tsx'
import type { Verdict } from './load-tests-data.ts'

const tones = { passed: 'good', failed: 'bad', invalid: 'warn' } as const

export function VerdictBadge({ of: verdict }: { readonly of: Verdict }) {
  return <Badge tone={tones[verdict]}>{verdict}</Badge>
}
