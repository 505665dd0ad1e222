// `node infra/run.js <script> …`: runs another script of the project, from any Node.
import { launch } from './launch.js'

const [script = '', ...args] = process.argv.slice(2)
launch(script, args)
