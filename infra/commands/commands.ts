import type { Command } from './command.ts'

interface NamedCommand {
  /** For the list of all commands. */
  readonly summary: string
  /** Each loads only what it needs. */
  load(): Promise<Command>
}

/** The commands for operators, by the first word of their line. A new one adds a file and a line here. */
export const commands: ReadonlyMap<string, NamedCommand> = new Map(
  Object.entries({
    'dev-ca': {
      summary:
        'certificates to try TLS with, for the server and for devices named behind it; --curve P-384 for clients that have it alone',
      load: async () => (await import('./development-ca-command.ts')).developmentCaCommand,
    },
    devices: {
      summary: 'create, list, show, disable, rekey, delete devices; their connection strings',
      load: async () => (await import('./devices.ts')).devicesCommand,
    },
    policies: {
      summary: 'the keys of services: list, show as connection string, renew',
      load: async () => (await import('./policies.ts')).policiesCommand,
    },
    authorities: {
      summary: 'certificate authorities whose certificates let devices in: list, add, verify, delete',
      load: async () => (await import('./authorities.ts')).authoritiesCommand,
    },
    provisioning: {
      summary:
        'devices that find their hub by themselves: groups, enrolments, registrations, linked hubs, what to flash',
      load: async () => (await import('./provisioning.ts')).provisioningCommand,
    },
    routes: {
      summary: 'routes, endpoints and enrichments: list, show, plan, apply, test, explain, replay; how endpoints do',
      load: async () => (await import('./routes.ts')).routesCommand,
    },
    call: {
      summary: 'call a direct method of a device, and see its answer',
      load: async () => (await import('./call.ts')).callCommand,
    },
    commands: {
      summary: 'cloud-to-device messages that did not reach their device: list, show, resend, purge',
      load: async () => (await import('./dead-commands.ts')).deadCommandsCommand,
    },
    jobs: {
      summary: 'twin updates and methods for many devices: list, show, cancel',
      load: async () => (await import('./jobs.ts')).jobsCommand,
    },
    models: {
      summary: 'what bodies hold, as typed columns: add, list, show, suggest, plan, pin, unpin, charts, remove',
      load: async () => (await import('./models.ts')).modelsCommand,
    },
    'dead-letters': {
      summary: 'list, show, replay, drop what ClickHouse or an endpoint refused for good',
      load: async () => (await import('./dead-letters.ts')).deadLettersCommand,
    },
    health: {
      summary: 'whether an installation or a role takes traffic, as an exit code',
      load: async () => (await import('./health.ts')).healthCommand,
    },
    backup: {
      summary: 'registry, positions, messages and tables together, into a folder, while all runs; verify looks at one',
      load: async () => (await import('./backup.ts')).backupCommand,
    },
    restore: {
      summary: 'put a backup into an installation that is empty',
      load: async () => (await import('./restore.ts')).restoreCommand,
    },
    'grow-partitions': {
      summary: 'more partitions for telemetry, and so for more workers, while devices are served',
      load: async () => (await import('./grow-partitions.ts')).growPartitionsCommand,
    },
    trace: {
      summary: 'where the messages that bring a traceparent are: edge, log, row',
      load: async () => (await import('./trace.ts')).traceCommand,
    },
    verify: {
      summary: 'compare the log with ClickHouse, or with endpoints of routes',
      load: async () => (await import('./verify.ts')).verifyCommand,
    },
  }),
)
