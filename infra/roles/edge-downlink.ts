import type { EdgeDownlink } from '#control/downlink/downlink.ts'

/** The downlink of an edge process that is still starting: control may ask before there is an edge, which then holds nobody. */
export class StartingDownlink implements EdgeDownlink {
  #edge: EdgeDownlink = {
    call: async () => ({ kind: 'notHere' }),
    holds: (ids) => ids.map(() => false),
    tell: (ids) => ids,
  }

  readonly call: EdgeDownlink['call'] = (...asked) => this.#edge.call(...asked)
  readonly holds: EdgeDownlink['holds'] = (ids) => this.#edge.holds(ids)
  readonly tell: EdgeDownlink['tell'] = (...told) => this.#edge.tell(...told)

  started(edge: EdgeDownlink): void {
    this.#edge = edge
  }
}
