/** Limits of models. Rows of the table in `limits.ts`. */
export const modelLimits = {
  /** Each has a view, which is looked at again and again. */
  modelsMax: 200,
  /** In one answer, each with its document: less than 10 MiB. */
  modelsPageMax: 25,
  /** Each is a column of the model's view. */
  modelFieldsMax: 500,
  /** Names of models, and of fields: part of names of columns. */
  modelNameLengthMax: 64,
  modelFieldNameLengthMax: 128,
  /** Of devices or of a property, in what says which rows are a model's. */
  modelGuardLengthMax: 256,
  /** A document with the most fields, with texts in several languages. */
  modelDocumentBytesMax: 256 * 1024,
  /** Lists and objects within one another in a document: what is read lies at six. */
  modelDocumentDepthMax: 32,
  /** Faults of a document that are told at once. */
  modelFaultsMax: 50,
  /** Pinned fields of all models together: each costs every row that is stored. */
  modelPinsMax: 64,
  /** Rows that a model is suggested from, no older than that, in so long. */
  modelSuggestRowsMax: 10_000,
  modelSuggestDaysMax: 7,
  modelSuggestSecondsMax: 30,
  /** What the warehouse has of models is compared with what it should have this often. */
  modelsLookedAtMs: 60_000,
  /** While they differ. */
  modelsRetriedMs: 5_000,
} as const
