import { accessSync, constants, readdirSync } from 'node:fs'
import { delimiter, join } from 'node:path'

/** Path of an executable in PATH or in one of `moreFolders`; `undefined` if there is none. */
export function findExecutable(name: string, moreFolders: readonly string[] = []): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter), ...moreFolders]
  return folders.map((folder) => join(folder, name)).find(isExecutable)
}

/** Sub-folders of a folder, the last by name first; none if it does not exist. */
export function subFolders(folder: string): string[] {
  try {
    return readdirSync(folder)
      .sort((left, right) => right.localeCompare(left, 'en', { numeric: true }))
      .map((name) => join(folder, name))
  } catch {
    return []
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
