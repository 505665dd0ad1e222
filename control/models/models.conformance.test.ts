import { modelsConformance } from './models.conformance.ts'

modelsConformance('the embedded store', () => undefined)
