const whenTold = ['identities', 'always', 'never'] as const

/** Whether events are wanted of which the setting says so. */
export function isTold(setting: (typeof whenTold)[number], identities: 'trusted' | 'required'): boolean {
  return setting === 'always' || (setting === 'identities' && identities === 'required')
}

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
  sparkplug: {
    env: 'PENSTOCK_SPARKPLUG',
    kind: 'choice',
    default: 'stored',
    choices: ['stored', 'decoded'],
    meaning:
      'what becomes of payloads of Sparkplug B, on topics below spBv1.0/. stored: they are stored as they come; decoded: as JSON, with the names that births gave',
  },
  events: {
    env: 'PENSTOCK_EVENTS',
    kind: 'choice',
    default: 'identities',
    choices: whenTold,
    meaning:
      'whether it is recorded in penstock.device_events that a device connects, disconnects or changes. identities: only where identities are required; always; never',
  },
  twinEvents: {
    env: 'PENSTOCK_TWIN_EVENTS',
    kind: 'choice',
    default: 'identities',
    choices: whenTold,
    meaning:
      'whether each change of a twin is told: recorded in penstock.twin_events, and a message of the source TwinChangeEvents for routes. identities: only where identities are required; always; never. The same on all machines',
  },
} as const
