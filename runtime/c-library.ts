/** Functions of the C library that Node does not have, by the optional package koffi. */
import { createRequire } from 'node:module'

export interface CLibrary {
  /** @param types of the result and the parameters, as C names them */
  func(name: string, result: string, parameters: readonly string[]): (...values: unknown[]) => number
}

/** Undefined where the package is not installed, or has no binary for this platform. */
export function cLibrary(): CLibrary | undefined {
  try {
    return (createRequire(import.meta.url)('koffi') as Koffi).load(null)
  } catch {
    return undefined
  }
}

interface Koffi {
  load(path: null): CLibrary
}
