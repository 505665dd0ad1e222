/** Settings of what devices are told, and what is told of them; a part of the table in `settings.ts`. */
export const deviceSettings = {
  desiredCatchUp: {
    env: 'PENSTOCK_DESIRED_CATCH_UP',
    kind: 'choice',
    default: 'on',
    choices: ['on', 'off'],
    meaning:
      'on: a device that listens to its desired properties again is told what changed while it was away; off: it asks for itself, as with the hub',
  },
  events: {
    env: 'PENSTOCK_EVENTS',
    kind: 'choice',
    default: 'identities',
    choices: ['identities', 'always', 'never'],
    meaning:
      'whether it is recorded in penstock.device_events that a device connects, disconnects or changes. identities: only where identities are required; always; never',
  },
} as const
