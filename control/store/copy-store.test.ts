import { copyStoreConformance } from './copy-store.conformance.ts'

copyStoreConformance('the embedded store', () => undefined)
