import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'

// Clients put a name into an address as it is: there these would begin something else, be undone or be taken for a slash.
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
const forbidden = /[\x00-\x1f\x7f\\?#%]/

/** A name of a file as a device gives it: segments parted by `/`. @throws UPLOAD_NAME_INVALID */
export function blobNameFrom(given: unknown): string {
  if (typeof given !== 'string' || given === '') throw invalid('a request for an upload names its file in blobName')
  if (given.length > limits.blobNameLengthMax)
    throw invalid(`a file name has at most ${limits.blobNameLengthMax} characters`)
  if (/\p{Surrogate}/u.test(given)) throw invalid('a file name is well-formed Unicode')
  if (forbidden.test(given)) throw invalid('a file name has no control character, and none of \\ ? # %')
  // Clients and servers on the way undo these before they send an address on.
  if (given.split('/').some((segment) => segment === '' || segment === '.' || segment === '..'))
    throw invalid('no segment of a file name is empty, . or ..')
  return given
}

function invalid(text: string): PenstockError {
  return new PenstockError('UPLOAD_NAME_INVALID', text)
}
