/** What a request to an identity, or to something that goes with one, says in its path and headers. */
import type { HttpRequest } from '#runtime/http/request.ts'
import { PenstockError } from '#schemas/errors.ts'
import type { IdentityId } from '#schemas/identity-id.ts'

/** Of a path `/…/{device}` or `/…/{device}/modules/{module}`. @throws REGISTRY_ARGUMENT_INVALID where it is not percent-encoded UTF-8 */
export function identityIdOf(request: HttpRequest): IdentityId {
  const deviceId = request.parameter(0)
  const moduleId = request.parameter(1)
  if (deviceId === undefined || (moduleId === undefined && request.path.split('/').length > 4)) {
    throw new PenstockError('REGISTRY_ARGUMENT_INVALID', 'the path is not percent-encoded UTF-8')
  }
  return { deviceId, moduleId: moduleId || undefined }
}

/** What the first part of a path that varies names, where it is no identity. Empty, which nothing is called, where it has a zero character: the store takes none. */
export function nameOf(request: HttpRequest): string {
  const name = request.parameter(0) ?? ''
  return name.includes('\0') ? '' : name
}

/** Quoted or not, weak or not; `*` is whatever etag there is, told as `undefined`. `undefined`: no such header. */
export function ifMatchOf(request: HttpRequest): { readonly etag: string | undefined } | undefined {
  const header = request.header('if-match').trim()
  if (header === '') return undefined
  const etag = header.replace(/^W\//, '').replace(/^"(.*)"$/, '$1')
  return { etag: etag === '*' ? undefined : etag }
}
