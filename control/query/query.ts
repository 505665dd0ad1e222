/** The port of queries: asks about identities and twins in the hub's query language (`query-tree.ts` says which part of it). */
import type { IdentityTwin } from '#control/twins/twins.ts'

export interface TwinQueries {
  /** @throws REGISTRY_QUERY_INVALID, STORE_UNAVAILABLE (retry) */
  query(text: string, page: QueryPage): Promise<QueryResult>
  /**
   * Ids of devices that a condition picks: what stands behind WHERE, or `*`.
   * @param after those whose id is greater, in order
   * @throws as `query`
   */
  devicesWhere(condition: string, after: string, countMax: number): Promise<string[]>
  /** @throws REGISTRY_QUERY_INVALID */
  checkCondition(condition: string): void
  /** How many devices or modules a query finds. @throws as `query` */
  count(text: string): Promise<number>
  /** @throws REGISTRY_QUERY_INVALID where what it finds cannot be counted */
  checkCountable(text: string): void
}

export interface QueryPage {
  readonly countMax: number
  /** As the page before gave it; `undefined` for the first page. */
  readonly continuation: string | undefined
}

/** `twin`: whole twins; `deviceJob`: what jobs made of devices; `raw`: the named fields or aggregates. `continuation` is `undefined` on the last page. */
export type QueryResult =
  | { readonly kind: 'twin'; readonly twins: readonly IdentityTwin[]; readonly continuation: string | undefined }
  | {
      readonly kind: 'raw' | 'deviceJob'
      readonly items: readonly Readonly<Record<string, unknown>>[]
      readonly continuation: string | undefined
    }
