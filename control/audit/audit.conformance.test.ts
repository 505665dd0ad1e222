import { auditConformance } from './audit.conformance.ts'

auditConformance('embedded PostgreSQL', () => undefined)
