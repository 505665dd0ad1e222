import { registrarConformance } from './registrar.conformance.ts'

registrarConformance('the embedded store', () => undefined)
