import { logConformance } from '../log.conformance.ts'
import { MemoryLog, MemoryStore } from './memory-log.ts'

const stores = new Map<string, MemoryStore>()

logConformance('memory', {
  start: async () => {},
  stop: async () => {},
  open: async (topic, partitionCount) => {
    const store = stores.get(topic) ?? new MemoryStore(topic, partitionCount ?? 2)
    stores.set(topic, store)
    return new MemoryLog({ store, partitionCount })
  },
  options: undefined,
  retains: true,
})
