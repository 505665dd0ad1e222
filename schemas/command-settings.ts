/** Settings of commands: messages from the cloud to a device. Rows of the table in `settings.ts`. */
export const commandSettings = {
  commandLifeSeconds: {
    env: 'PENSTOCK_COMMAND_LIFE_SECONDS',
    kind: 'integer',
    default: 3_600,
    min: 60,
    max: 172_800,
    meaning: 'how long a cloud-to-device message waits for its device, if its sender does not say until when',
  },
  commandDeliveriesMax: {
    env: 'PENSTOCK_COMMAND_DELIVERIES_MAX',
    kind: 'integer',
    default: 10,
    min: 1,
    max: 100,
    meaning:
      'how often a cloud-to-device message is delivered. One that was abandoned, or whose connection was lost, so often becomes a dead letter',
  },
  commandDeadLetterDays: {
    env: 'PENSTOCK_COMMAND_DEAD_LETTER_DAYS',
    kind: 'integer',
    default: 7,
    min: 1,
    max: 3_650,
    meaning: 'days for which cloud-to-device messages are kept that ended without success',
  },
  commandMegabytesMax: {
    env: 'PENSTOCK_COMMAND_MEGABYTES_MAX',
    kind: 'integer',
    default: 1_024,
    min: 1,
    max: 1_000_000,
    meaning:
      'size of all cloud-to-device messages that wait, in MiB, above which no more are accepted until some have ended. It is measured every ten seconds',
  },
  commandDuplicates: {
    env: 'PENSTOCK_COMMAND_DUPLICATES',
    kind: 'choice',
    default: 'kept',
    choices: ['kept', 'dropped'],
    meaning:
      'a cloud-to-device message with the message id of one that still waits for the same device. dropped: it is accepted, and not kept a second time, so that senders may repeat themselves',
  },
  feedbackLifeSeconds: {
    env: 'PENSTOCK_FEEDBACK_LIFE_SECONDS',
    kind: 'integer',
    default: 3_600,
    min: 60,
    max: 172_800,
    meaning:
      'how long feedback about cloud-to-device messages, and notifications of uploaded files, wait for a receiver',
  },
} as const
