import { uploadsConformance } from './uploads.conformance.ts'

uploadsConformance('the embedded store', () => undefined)
