/**
 * Names of table functions, and of engines of tables and databases. Those that are open work on tables, or over the network with what the
 * statement itself says. The others read and write files, start programs, or let another server ask for files. A test compares the lists
 * with those of the engine, so a new version cannot bring a name that nobody has judged.
 */
const openFunctions = `
  numbers numbers_mt zeros zeros_mt primes generateSeries generate_series generateRandom values SQLStandardValues null
  view viewIfPermitted viewExplain merge loop dictionary input format
  mergeTreeAnalyzeIndexes mergeTreeAnalyzeIndexesUUID mergeTreeIndex mergeTreeProjection mergeTreeTextIndex
  timeSeriesData timeSeriesMetrics timeSeriesSamples timeSeriesSelector timeSeriesTags prometheusQuery prometheusQueryRange`

/** They ask other servers. */
const reachingFunctions = 'cluster clusterAllReplicas remote remoteSecure s3 url'

const closedFunctions = `
  arrowstream azureBlobStorage azureBlobStorageCluster cosn deltaLake deltaLakeAzure deltaLakeAzureCluster deltaLakeCluster
  deltaLakeLocal deltaLakeLocalCluster deltaLakeS3 deltaLakeS3Cluster eval executable file fileCluster filesystem fuzzJSON
  fuzzQuery gcs hdfs hdfsCluster hudi hudiCluster hudiLocal iceberg icebergAzure icebergAzureCluster icebergCluster icebergHDFS
  icebergHDFSCluster icebergLocal icebergLocalCluster icebergS3 icebergS3Cluster jdbc mongodb mysql odbc oss paimon paimonAzure
  paimonAzureCluster paimonCluster paimonHDFS paimonHDFSCluster paimonLocal paimonS3 paimonS3Cluster postgresql python redis
  s3Cluster sqlite urlCluster ytsaurus`

const openEngines = `
  MergeTree ReplacingMergeTree SummingMergeTree AggregatingMergeTree CollapsingMergeTree VersionedCollapsingMergeTree
  CoalescingMergeTree GraphiteMergeTree Log StripeLog TinyLog Memory Buffer Set Join Null View MaterializedView WindowView
  TimeSeries Alias Distributed Merge Loop GenerateRandom Dictionary URL S3 Remote RemoteSecure
  Atomic Ordinary`

/** Engines of tables that hold their own rows, or none. Writes to tables of other engines would bypass the rights of the writer. */
const ownTableEngines = `
  MergeTree ReplacingMergeTree SummingMergeTree AggregatingMergeTree CollapsingMergeTree VersionedCollapsingMergeTree
  CoalescingMergeTree GraphiteMergeTree Log StripeLog TinyLog Memory Set Join Null View GenerateRandom`

const closedEngines = `
  ArrowStream AzureBlobStorage AzureQueue COSN DeltaLake DeltaLakeAzure DeltaLakeLocal DeltaLakeS3 EmbeddedRocksDB Executable
  ExecutablePool File FileLog FuzzJSON FuzzQuery GCS HDFS Hudi Iceberg IcebergAzure IcebergHDFS IcebergLocal IcebergS3 JDBC Kafka
  KeeperMap MaterializedPostgreSQL MongoDB MySQL NATS ODBC OSS Paimon PaimonAzure PaimonHDFS PaimonLocal PaimonS3 PostgreSQL
  QueryRunner RabbitMQ Redis ReplicatedAggregatingMergeTree ReplicatedCoalescingMergeTree ReplicatedCollapsingMergeTree
  ReplicatedGraphiteMergeTree ReplicatedMergeTree ReplicatedReplacingMergeTree ReplicatedSummingMergeTree
  ReplicatedVersionedCollapsingMergeTree S3Queue SQLite YTsaurus
  Backup DataLakeCatalog Filesystem Overlay Replicated`

/** In lower case. */
export const judgedFunctions = lowerCase([openFunctions, reachingFunctions, closedFunctions].join(' '))
export const judgedEngines = lowerCase(openEngines + closedEngines)

const reachingFunctionNames = lowerCase(reachingFunctions)
const closedFunctionNames = lowerCase(closedFunctions)
const ownTableEngineNames = lowerCase(ownTableEngines)
const openEngineNames = lowerCase(openEngines)
/** Names that the engine also has as ordinary functions: `file('…')`, and one that loads a library. */
const scalarNames = lowerCase('file catboostEvaluate')

/** @param name of a table function or of an ordinary one, in any case */
export function isClosedFunction(name: string): boolean {
  return closedFunctionNames.has(name.toLowerCase()) || isClosedScalar(name)
}

/** @param name of a table function, in any case */
export function isReachingFunction(name: string): boolean {
  return reachingFunctionNames.has(name.toLowerCase())
}

/** @param name of a function that is no table function, in any case */
export function isClosedScalar(name: string): boolean {
  return scalarNames.has(name.toLowerCase())
}

/** @param name of an engine of tables or databases, in any case */
export function isOpenEngine(name: string): boolean {
  return openEngineNames.has(name.toLowerCase())
}

/** @param name of an engine of tables, in any case */
export function isOwnTableEngine(name: string): boolean {
  return ownTableEngineNames.has(name.toLowerCase())
}

function lowerCase(text: string): ReadonlySet<string> {
  return new Set(text.toLowerCase().trim().split(/\s+/))
}
