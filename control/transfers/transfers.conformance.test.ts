import { transfersConformance } from './transfers.conformance.ts'

transfersConformance('the embedded store', () => undefined)
