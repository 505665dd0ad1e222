/** The table of screens. A screen is loaded once somebody goes to it. */
import type { FunctionComponent } from 'preact'
import type { IconName } from '#console/parts/icon.tsx'
import type { ScreenProps } from '#console/screen-props.ts'

export interface ScreenEntry {
  /** First segment of its address; empty: what `/console/` shows. */
  readonly segment: string
  readonly title: string
  readonly icon: IconName
  readonly load: LoadScreen
  /** What addresses below its own show, where that is another screen: one of what it lists. */
  readonly loadOne?: LoadScreen
}

export type LoadScreen = () => Promise<FunctionComponent<ScreenProps>>

/** @param segment the first one of an address */
export function screenOf(segment: string): ScreenEntry | undefined {
  return screens.find((screen) => screen.segment === segment)
}

/** @param rest the further segments of the address */
export function loaderOf({ load, loadOne = load }: ScreenEntry, rest: readonly string[]): LoadScreen {
  return rest.length === 0 ? load : loadOne
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
    loadOne: async () => (await import('#console/screens/device/device-screen.tsx')).DeviceScreen,
  },
  {
    segment: 'sql',
    title: 'SQL',
    icon: 'sql',
    load: async () => (await import('#console/screens/sql/sql-screen.tsx')).SqlScreen,
  },
  {
    segment: 'models',
    title: 'Models',
    icon: 'models',
    load: async () => (await import('#console/screens/models/models-screen.tsx')).ModelsScreen,
  },
  {
    segment: 'delivery',
    title: 'Delivery',
    icon: 'delivery',
    load: async () => (await import('#console/screens/delivery/delivery-screen.tsx')).DeliveryScreen,
  },
  {
    segment: 'routes',
    title: 'Routes',
    icon: 'routes',
    load: async () => (await import('#console/screens/routes/routes-screen.tsx')).RoutesScreen,
  },
  {
    segment: 'load-tests',
    title: 'Load tests',
    icon: 'load',
    load: async () => (await import('#console/screens/load-tests/load-tests-screen.tsx')).LoadTestsScreen,
  },
  {
    segment: 'settings',
    title: 'Settings',
    icon: 'settings',
    load: async () => (await import('#console/screens/settings/settings-screen.tsx')).SettingsScreen,
  },
  {
    segment: 'audit',
    title: 'Audit',
    icon: 'audit',
    load: async () => (await import('#console/screens/audit/audit-screen.tsx')).AuditScreen,
  },
  {
    segment: 'api',
    title: 'API',
    icon: 'api',
    load: async () => (await import('#console/screens/api/api-screen.tsx')).ApiScreen,
  },
]
