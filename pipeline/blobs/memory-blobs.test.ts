import { blobStoreConformance } from './blob-store.conformance.ts'
import { MemoryBlobs } from './memory-blobs.ts'

let store: MemoryBlobs

blobStoreConformance('memory', {
  start: async () => {},
  stop: async () => {},
  clear: async () => {
    store = new MemoryBlobs()
  },
  open: () => store,
  names: async () => [...store.files.keys()],
})
