import { jobsConformance } from './jobs.conformance.ts'

jobsConformance('the embedded store', () => undefined)
