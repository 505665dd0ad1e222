/** Settings of provisioning: devices that find their hub by themselves. Rows of the table in `settings.ts`. */
export const provisioningSettings = {
  provisioningIdScope: {
    env: 'PENSTOCK_PROVISIONING_ID_SCOPE',
    kind: 'text',
    default: '0ne00000001',
    meaning:
      'ID scope of the provisioning service: devices that register say it. It is served where identities are required, on the ports of the edges',
  },
  provisioningHostname: {
    env: 'PENSTOCK_PROVISIONING_HOSTNAME',
    kind: 'text',
    default: undefined,
    meaning:
      'further host name under which the provisioning service is called, or several separated by commas; the certificate of PENSTOCK_TLS_CERT must have it too. It is also served under PENSTOCK_HOSTNAME',
  },
  provisioningCa: {
    env: 'PENSTOCK_PROVISIONING_CA',
    kind: 'text',
    default: undefined,
    meaning:
      'PEM file of the authorities that sign the certificates of linked hubs, and of functions that choose hubs; unset: those that Node trusts',
  },
  provisioningPerSecond: {
    env: 'PENSTOCK_PROVISIONING_PER_SECOND',
    kind: 'integer',
    default: 0,
    min: 0,
    max: 1_000_000,
    meaning:
      'registrations that an edge process begins in a second; more are answered 429, with the seconds after which to come back. 0: as many as the registry takes',
  },
} as const
