/** The table of screens. A screen is loaded once somebody goes to it. */
import type { FunctionComponent } from 'preact'
import type { IconName } from '#console/parts/icon.tsx'
import type { ScreenProps } from '#console/screen-props.ts'

export interface ScreenEntry {
  /** First segment of its address; empty: what `/console/` shows. */
  readonly segment: string
  readonly title: string
  readonly icon: IconName
  readonly load: () => Promise<FunctionComponent<ScreenProps>>
}

export const screens: readonly ScreenEntry[] = [
  {
    segment: '',
    title: 'First minute',
    icon: 'first',
    load: async () => (await import('#console/screens/first-minute/first-minute-screen.tsx')).FirstMinuteScreen,
  },
  {
    segment: 'live',
    title: 'Live',
    icon: 'live',
    load: async () => (await import('#console/screens/live/live-screen.tsx')).LiveScreen,
  },
  {
    segment: 'fleet',
    title: 'Fleet',
    icon: 'fleet',
    load: async () => (await import('#console/screens/fleet/fleet-screen.tsx')).FleetScreen,
  },
]
