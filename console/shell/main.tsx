import { render } from 'preact'
import { followLinks } from '#console/router.ts'
import { App } from './app.tsx'
import '../style/base.css'
import '../style/shell.css'
import '../style/parts.css'
import '../style/screens.css'

const root = document.getElementById('console')
if (root !== null) {
  followLinks()
  render(<App />, root)
}
