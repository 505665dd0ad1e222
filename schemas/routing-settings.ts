/** Settings of routes and endpoints; a part of the table in `settings.ts`. */
export const routingSettings = {
  builtInEndpoint: {
    env: 'PENSTOCK_BUILTIN_ENDPOINT',
    kind: 'choice',
    default: 'all',
    choices: ['all', 'routed'],
    meaning:
      'what clients of Event Hubs read: all that the log holds, or as from a hub what routes, or the fallback, send to the endpoint events. Rows of penstock.telemetry are there in both',
  },
  secretsKey: {
    env: 'PENSTOCK_SECRETS_KEY',
    kind: 'secret',
    default: undefined,
    meaning:
      'key that seals the secrets of endpoints, and signatures of exports and imports, base64 of 32 bytes. Unset: one is made and kept in the data folder. Control roles and routers that share PostgreSQL must have the same',
  },
  endpointsMax: {
    env: 'PENSTOCK_ENDPOINTS_MAX',
    kind: 'integer',
    default: 10,
    min: 1,
    max: 100,
    meaning: 'most endpoints that routes may lead to; each reads the log for itself',
  },
  endpointsAllowed: {
    env: 'PENSTOCK_ENDPOINTS_ALLOWED',
    kind: 'text',
    default: undefined,
    meaning:
      "hosts, or host:port, several separated by commas, that endpoints and containers of exports may reach although they are link-local, or one of Penstock's own ports",
  },
  endpointsFolders: {
    env: 'PENSTOCK_ENDPOINTS_FOLDERS',
    kind: 'text',
    default: undefined,
    meaning:
      'folders, several separated by commas, in and below which endpoints of kind file may write; unset: nowhere',
  },
  routesInterpreted: {
    env: 'PENSTOCK_ROUTES_INTERPRETED',
    kind: 'choice',
    default: 'no',
    choices: ['no', 'yes'],
    meaning: 'yes: conditions of routes are evaluated without generated code, many times as slowly',
  },
} as const
