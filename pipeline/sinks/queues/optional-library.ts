import { EndpointError } from '#pipeline/endpoints/endpoint-error.ts'
import { PenstockError } from '#schemas/errors.ts'

/** A library that is installed where it can be. @throws EndpointError: held, with what to install */
export async function optionalLibrary<Library>(name: string, load: () => Promise<Library>): Promise<Library> {
  try {
    return await load()
  } catch (error) {
    const cause = new PenstockError('DEPENDENCY_MISSING', `the package \`${name}\` cannot be loaded`, { cause: error })
    const message = `${cause.message}; \`npm install\` installs it, unless optional packages are left out`
    throw new EndpointError('ENDPOINT_HELD', message, { failure: 'NotFound', cause })
  }
}
