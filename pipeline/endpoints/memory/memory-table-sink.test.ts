import { systemClock } from '#runtime/clock.ts'
import { tableSinkConformance } from '../table-sink.conformance.ts'
import { MemoryTable, MemoryTableSink } from './memory-table-sink.ts'

let table = new MemoryTable()

tableSinkConformance('memory', {
  start: async () => {},
  stop: async () => {},
  clear: async () => {
    table = new MemoryTable()
  },
  open: async () => new MemoryTableSink(table, systemClock),
  contents: async () => table.messages.map(({ deviceId, body }) => ({ deviceId, body: Buffer.from(body).toString() })),
  badBody: async () => {
    table.badBody = 'bad'
    return 'bad'
  },
  away: async () => {
    table.isAway = true
    return async () => {
      table.isAway = false
    }
  },
  openWithoutRight: async () => {
    table.hasRight = false
    const mend = async () => {
      table.hasRight = true
    }
    return { sink: new MemoryTableSink(table, systemClock), mend }
  },
  remembersForEver: false,
})
