import type { Freshness } from './build-console.ts'

const howTo = 'run `npm install --include=optional` in the folder of Penstock, and start it again'

/** What a person is told of a console that is not as its sources are; `undefined`: it is. */
export function consoleNote(freshness: Freshness): string | undefined {
  switch (freshness) {
    case 'fresh':
    case 'built':
      return undefined
    case 'old':
      return `the console is of an older version, since it could not be built anew: ${howTo}`
    case 'missing':
      return `there is no console, since it could not be built: ${howTo}`
  }
}
