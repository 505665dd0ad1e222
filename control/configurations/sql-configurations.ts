import type { IfMatch } from '#control/identities/identities.ts'
import { newEtag } from '#control/identities/identity.ts'
import type { Database, Queries } from '#control/store/database.ts'
import type { TwinOutcomes } from '#control/twins/twins.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { endPass, passConfigurations, setTargets, settleChanges, unsettledDevices } from './application-rows.ts'
import {
  configurationRow,
  configurationRows,
  deleteConfigurationRow,
  insertConfiguration,
  updateConfiguration,
} from './configuration-rows.ts'
import type {
  Configuration,
  ConfigurationContent,
  Configurations,
  ConfigurationWork,
  DeviceChange,
  PassConfiguration,
  TargetPage,
} from './configurations.ts'
import { configurationFault } from './desired-content.ts'

/** Configurations over the control store, which belongs to the caller. */
export class SqlConfigurations implements Configurations, ConfigurationWork {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  create(content: ConfigurationContent): Promise<Configuration> {
    return this.#changing(async (queries) => {
      const others = await configurationRows(queries, limits.configurationsMax)
      if (others.some(({ id }) => id === content.id))
        throw new PenstockError('CONFIGURATION_EXISTS', `there is a configuration ${content.id} already`)
      if (others.length >= limits.configurationsMax)
        throw new PenstockError(
          'CONFIGURATIONS_FULL',
          `there are ${limits.configurationsMax} configurations, as many as may be`,
        )
      await insertConfiguration(queries, content, newEtag())
      return configurationRow(queries, content.id)
    })
  }

  replace(content: ConfigurationContent, ifMatch: IfMatch): Promise<Configuration> {
    return this.#changing(async (queries) => {
      const before = await configurationRow(queries, content.id, ifMatch)
      if (JSON.stringify(before.deviceContent) !== JSON.stringify(content.deviceContent))
        throw configurationFault('the content of a configuration cannot change: make another one of a higher priority')
      await updateConfiguration(queries, content, newEtag())
      return configurationRow(queries, content.id)
    })
  }

  delete(id: string, ifMatch: IfMatch): Promise<void> {
    return this.#changing(async (queries) => {
      await configurationRow(queries, id, ifMatch)
      await deleteConfigurationRow(queries, id)
    })
  }

  get(id: string): Promise<Configuration> {
    return configurationRow(this.#database, id)
  }

  list(countMax: number): Promise<Configuration[]> {
    return configurationRows(this.#database, countMax)
  }

  async beginPass(): Promise<boolean> {
    const begun = await this.#database.query(
      `UPDATE penstock.configuration_passes SET next_at = now() + $1::float8 * interval '1 millisecond'
       WHERE next_at <= now() AND EXISTS (SELECT FROM penstock.configurations) RETURNING 1`,
      [limits.configurationPassMs],
    )
    return begun.length > 0
  }

  all(): Promise<PassConfiguration[]> {
    return passConfigurations(this.#database)
  }

  setTargets(number: number, page: TargetPage): Promise<void> {
    return this.#database.transaction((queries) => setTargets(queries, number, page))
  }

  unsettled(after: string, countMax: number): Promise<DeviceChange[]> {
    return unsettledDevices(this.#database, after, countMax)
  }

  settle(queries: Queries, changes: readonly DeviceChange[], outcomes: TwinOutcomes): Promise<void> {
    return settleChanges(queries, changes, outcomes)
  }

  endPass(number: number, metrics: Readonly<Record<string, number>>): Promise<void> {
    return endPass(this.#database, number, metrics)
  }

  /** One change at a time, of which the next pass knows. */
  #changing<T>(work: (queries: Queries) => Promise<T>): Promise<T> {
    return this.#database.transaction(async (queries) => {
      await queries.query('UPDATE penstock.configuration_passes SET next_at = now()')
      return work(queries)
    })
  }
}
