/** Secrets of endpoints at rest: each is bound to the endpoint, the field and the name in it that it belongs to. */
import type { SecretsKey } from '#control/store/secrets-key.ts'
import { isEndpointKind } from '#schemas/endpoint-kinds/endpoint-kinds.ts'
import type { EndpointDocument, RoutingDocument } from '#schemas/routing/routing.ts'
import { type Values, withEachSecret, withoutParameters } from './endpoint-secrets.ts'

/** The document as it is kept: every secret sealed. */
export function sealed(document: RoutingDocument, key: SecretsKey): RoutingDocument {
  const seal = ({ name, kind, settings }: EndpointDocument): Values =>
    withEachSecret(kind, settings, (place, secret) => key.seal(`${name}.${place}`, String(secret)))
  return { ...document, endpoints: document.endpoints.map((each) => ({ ...each, settings: seal(each) })) }
}

/**
 * The document as routers use it. What lies plain was no secret when it was written; it is sealed once the next document is.
 * @throws ROUTING_SECRETS_UNREADABLE
 */
export function opened(document: RoutingDocument, key: SecretsKey): RoutingDocument {
  const open = ({ name, kind, settings }: EndpointDocument): Values =>
    withoutParameters(
      kind,
      withEachSecret(kind, settings, (place, secret) =>
        isSealed(secret) ? key.open(`${name}.${place}`, secret) : secret,
      ),
    )
  return {
    ...document,
    // One of a newer program may be of a kind that is not known here.
    endpoints: document.endpoints.map((each) => (isEndpointKind(each.kind) ? { ...each, settings: open(each) } : each)),
  }
}

const isSealed = (secret: unknown): secret is string => typeof secret === 'string' && secret.startsWith('sealed:')
