import { render } from 'preact'
import { currentPlace, followLinks } from '#console/router.ts'
import { App } from './app.tsx'
import { screenOf } from './screens.ts'
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
  screenOf(currentPlace().segments[0] ?? '')
    ?.load()
    .catch(() => {})
  render(<App />, root)
}
