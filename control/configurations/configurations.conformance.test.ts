import { configurationsConformance } from './configurations.conformance.ts'

configurationsConformance('the embedded store', () => undefined)
