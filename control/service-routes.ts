/** The service API: the table of what each capability serves over REST. All routes need a policy's SAS token; `api-version` is not looked at. */
import type { HttpRouter } from '#runtime/http/serving.ts'
import { PenstockError } from '#schemas/errors.ts'
import { blobUri } from '#schemas/uploads.ts'
import { auditOperations } from './audit/audit-operations.ts'
import { commandOperations } from './commands/command-operations.ts'
import { deadCommandOperations } from './commands/dead-command-operations.ts'
import { gatheredNotices } from './commands/gathered-notices.ts'
import { configurationOperations } from './configurations/configuration-operations.ts'
import { deadLetterOperations } from './dead-letters/dead-letter-operations.ts'
import type { DeadLetters } from './dead-letters/dead-letters.ts'
import type { DeliveryState } from './delivery/delivery.ts'
import { deliveryOperations } from './delivery/delivery-operations.ts'
import { digitalTwinOperations } from './digital-twins/digital-twin-operations.ts'
import type { Downlink } from './downlink/downlink.ts'
import { twinDocument } from './identities/documents.ts'
import { identityOperations } from './identities/identity-operations.ts'
import { jobOperations } from './jobs/job-operations.ts'
import { loadTestOperations } from './load-tests/load-test-operations.ts'
import type { LoadTests } from './load-tests/load-tests.ts'
import { methodOperations } from './methods/method-operations.ts'
import type { Methods } from './methods/methods.ts'
import { modelOperations } from './models/model-operations.ts'
import type { ModelService } from './models/model-service.ts'
import type { Registry } from './open-registry.ts'
import { provisioningOperations } from './provisioning/enrolment-operations.ts'
import { linkedHubOperations } from './provisioning/hub-operations.ts'
import { queryOperations } from './query/query-operation.ts'
import { quotaOperations } from './quotas/quota-operations.ts'
import { type OperationOptions, registerOperation } from './rest/operation.ts'
import { faultAnswer } from './rest/rest.ts'
import { hubRoutingOperations } from './routes/hub-operations.ts'
import { replayOperations } from './routes/replay-operations.ts'
import { routingOperations } from './routes/routing-operations.ts'
import type { RoutingService } from './routes/routing-service.ts'
import { type ShownSettings, settingsOperations } from './settings/settings-operations.ts'
import type { AnalystSql } from './sql/sql.ts'
import { sqlOperations } from './sql/sql-operations.ts'
import { transferOperations } from './transfers/transfer-operations.ts'
import type { TransferContainers } from './transfers/transfers.ts'
import { authorityOperations } from './trust/authority-operations.ts'
import { policyOperations, type RekeyPolicy } from './trust/policy-operations.ts'
import { updateTwins } from './twins/bulk-updates.ts'
import { twinOperations } from './twins/twin-operations.ts'
import { fileNotificationOperations } from './uploads/file-notification-operations.ts'

/** What they serve. */
export interface Services {
  readonly registry: Registry
  readonly routing: RoutingService
  readonly downlink: Downlink
  /** `undefined`: they cannot be reached from here. */
  readonly deadLetters: DeadLetters | undefined
  /** `undefined`: nobody can be asked. */
  readonly delivery: DeliveryState | undefined
  /** For the receivers of feedback: whose records these are. */
  readonly hubName: string
  /** Of twins, by each policy; 0: as many as it likes. */
  readonly queriesPerMinute: number
  readonly settings: ShownSettings
  /** `undefined`: no statements are run. */
  readonly sql: AnalystSql | undefined
  /** `undefined`: nothing is known of them. */
  readonly loadTests: LoadTests | undefined
  /** Under which files are read that devices uploaded. */
  readonly uploadHost: string
  /** `undefined`: no containers can be reached from here. */
  readonly transferContainers: TransferContainers | undefined
  readonly methods: Methods
  /** `undefined`: ClickHouse cannot be reached from here. */
  readonly models: ModelService | undefined
}

/** Adds all routes, and an answer in the hub's form for every other path. */
export function registerServiceRoutes(
  router: HttpRouter,
  {
    registry,
    routing,
    downlink,
    delivery,
    deadLetters,
    hubName,
    queriesPerMinute,
    settings,
    sql,
    loadTests,
    uploadHost,
    transferContainers,
    methods,
    models,
  }: Services,
  rekeyPolicy: RekeyPolicy,
  options: OperationOptions,
): void {
  const onCommandSent = gatheredNotices((ids) => downlink.tell(ids, { kind: 'commands' }))
  const operations = [
    ...identityOperations(registry.identities, (queries, items) => updateTwins(registry.twins, queries, items)),
    ...twinOperations(registry.twins, twinDocument),
    ...digitalTwinOperations(registry.twins, methods),
    ...queryOperations(registry.queries, twinDocument, queriesPerMinute),
    ...authorityOperations(registry.trust, options.clock),
    ...policyOperations(registry.trust, rekeyPolicy),
    ...quotaOperations(registry.quotas),
    ...settingsOperations(settings),
    ...(sql ? sqlOperations(sql) : []),
    ...(loadTests ? loadTestOperations(loadTests) : []),
    ...commandOperations(registry.commands, onCommandSent, hubName),
    ...fileNotificationOperations(registry.uploads, hubName, (path) => blobUri(uploadHost, path)),
    ...deadCommandOperations(registry.commands, onCommandSent),
    ...auditOperations(registry.audit),
    ...provisioningOperations(registry),
    ...linkedHubOperations(registry.linkedHubs, hubName.toLowerCase()),
    ...methodOperations(methods),
    ...configurationOperations(registry.configurations, registry.twins, registry.queries),
    ...jobOperations(registry.jobs, registry.queries.checkCondition, options.clock),
    ...(transferContainers ? transferOperations(registry.transfers, transferContainers) : []),
    ...routingOperations(routing),
    ...replayOperations(routing.replays),
    ...hubRoutingOperations(routing),
    ...(models ? modelOperations(models) : []),
    ...(delivery ? deliveryOperations(delivery) : []),
    ...(deadLetters ? deadLetterOperations(deadLetters) : []),
  ]
  for (const operation of operations) registerOperation(router, options, operation)
  router.route({
    method: 'ANY',
    pattern: '/*',
    handle: () => faultAnswer(new PenstockError('REGISTRY_PATH_UNKNOWN', 'nothing is served here by this method')),
  })
}
