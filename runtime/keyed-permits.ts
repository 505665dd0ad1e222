import { Permits } from './permits.ts'

/** Bounds how many of something run at once, and how many for one of its owners: nobody can hold all places. */
export class KeyedPermits {
  readonly #all: Permits
  readonly #countMaxEach: number
  readonly #owners = new Map<string, { readonly permits: Permits; users: number }>()

  constructor(countMax: number, countMaxEach: number) {
    this.#all = new Permits(countMax)
    this.#countMaxEach = countMaxEach
  }

  /** Owners that have something running or waiting. */
  get ownerCount(): number {
    return this.#owners.size
  }

  /** Runs `action` once its owner has a place, and there is one. */
  async with<T>(owner: string, action: () => Promise<T>): Promise<T> {
    const held = this.#owners.get(owner) ?? { permits: new Permits(this.#countMaxEach), users: 0 }
    this.#owners.set(owner, held)
    held.users++
    try {
      return await held.permits.with(() => this.#all.with(action))
    } finally {
      held.users--
      if (held.users === 0) this.#owners.delete(owner)
    }
  }
}
