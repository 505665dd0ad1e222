import { commandsConformance } from './commands.conformance.ts'

commandsConformance('the embedded store', () => undefined)
