import { render } from 'preact'
import { currentPlace, followLinks } from '#console/router.ts'
import { App } from './app.tsx'
import { loaderOf, screenOf } from './screens.ts'
import '../style/base.css'
import '../style/shell.css'
import '../style/controls.css'
import '../style/states.css'
import '../style/parts.css'
import '../style/messages.css'
import '../style/tables.css'
import '../style/charts.css'
import '../style/screens.css'

const root = document.getElementById('console')
if (root !== null) {
  followLinks()
  // While it is asked who is there. What fails is told by the screen itself.
  const [first = '', ...rest] = currentPlace().segments
  const screen = screenOf(first)
  if (screen !== undefined) loaderOf(screen, rest)().catch(() => {})
  render(<App />, root)
}
