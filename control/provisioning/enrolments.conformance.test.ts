import { enrolmentsConformance } from './enrolments.conformance.ts'

enrolmentsConformance('the embedded store', () => undefined)
