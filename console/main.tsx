import { render } from 'preact'
import { App } from './app.tsx'
import { followLinks } from './router.ts'
import './style/base.css'
import './style/shell.css'
import './style/parts.css'
import './style/screens.css'

const root = document.getElementById('console')
if (root !== null) {
  followLinks()
  render(<App />, root)
}
