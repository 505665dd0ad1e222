/** A real browser for pages that the project makes, spoken to by the Chrome DevTools Protocol over a WebSocket on loopback. */
import { once } from 'node:events'
import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findExecutable } from './executables.ts'
import { ServerProcess } from './server-process.ts'

export interface PageOptions {
  readonly url: string
  readonly theme: 'light' | 'dark'
  readonly width: number
}

export interface PageAnswer {
  readonly url: string
  readonly status: number
}

export interface AccessibleNode {
  readonly id: string
  /** Empty: it is the page. */
  readonly parentId: string
  readonly role: string
  readonly name: string
}

/** A page that has loaded. */
export interface PageForTests {
  /** Everything it asked for, itself first. */
  readonly requests: readonly string[]
  /** What was answered, also where the browser gives the page nothing of it. */
  readonly answers: readonly PageAnswer[]
  /** Exceptions nobody caught, and what the console was told as errors. */
  readonly errors: readonly string[]
  /** The value of an expression in the page, as JSON has it. @throws Error if it throws */
  evaluate(expression: string): Promise<unknown>
  /** Types into what has the focus, as a keyboard does. */
  type(text: string): Promise<void>
  /** Presses a letter, or one of `keyCodes`. */
  press(key: string, held?: 'Ctrl' | 'Shift'): Promise<void>
  /** What is read of the page to who does not see it: everything that is not ignored, parents before children. */
  accessible(): Promise<readonly AccessibleNode[]>
  /** PNG of the whole page. */
  screenshot(): Promise<Buffer>
  /** A browser holds few connections to a server; pages that stream keep theirs until they are closed. */
  close(): Promise<void>
}

export interface ChromiumForTests {
  open(options: PageOptions): Promise<PageForTests>
  stop(): Promise<void>
}

const names = ['chromium', 'chromium-browser', 'google-chrome']

/** What is missing to start it here; `undefined` if nothing is. */
export function chromiumMissing(): string | undefined {
  return chromiumPath() === undefined ? 'no chromium' : undefined
}

function chromiumPath(): string | undefined {
  return names.map((name) => findExecutable(name)).find((path) => path !== undefined)
}

export async function startChromium(): Promise<ChromiumForTests> {
  const path = chromiumPath()
  if (path === undefined) throw new Error('no chromium on this machine')
  const folder = mkdtempSync(join(tmpdir(), 'penstock-chromium-'))
  const place = ['--disable-dev-shm-usage', '--remote-debugging-port=0', `--user-data-dir=${folder}`]
  const flags = ['--headless', '--no-sandbox', '--disable-gpu', '--hide-scrollbars', ...place]
  const server = new ServerProcess('chromium', [path, ...flags, 'about:blank'])
  const stop = async (): Promise<void> => {
    await server.stop()
    // Its helpers write for a moment longer. A retry of `rmSync` does not look again at what is in a folder.
    await rm(folder, { recursive: true, force: true, maxRetries: 5 })
  }
  try {
    const address = () => /^DevTools listening on (ws:\S+)/m.exec(server.output)?.[1]
    await server.until(() => address() !== undefined)
    const socket = new WebSocket(address() ?? '')
    await once(socket, 'open')
    const channel = new DevTools(socket)
    return {
      open: (options) => openPage(channel, options),
      stop: async () => {
        socket.close()
        await stop()
      },
    }
  } catch (error) {
    await stop()
    throw error
  }
}

type Fields = Readonly<Record<string, unknown>>

/** Commands and events of all pages over one socket; a page's carry its session. */
class DevTools {
  readonly #socket: WebSocket
  readonly #answers = new Map<number, (message: Fields) => void>()
  readonly #listeners = new Map<string, (method: string, params: Fields) => void>()
  #next = 1

  constructor(socket: WebSocket) {
    this.#socket = socket
    socket.addEventListener('message', ({ data }) => {
      const message = JSON.parse(String(data)) as Fields
      if (typeof message.id === 'number') this.#answers.get(message.id)?.(message)
      else this.#listeners.get(String(message.sessionId))?.(String(message.method), message.params as Fields)
    })
  }

  listen(sessionId: string, listener: (method: string, params: Fields) => void): void {
    this.#listeners.set(sessionId, listener)
  }

  send(method: string, params: Fields = {}, sessionId?: string): Promise<Fields> {
    const id = this.#next++
    return new Promise((resolve, reject) => {
      this.#answers.set(id, ({ result, error }) => {
        this.#answers.delete(id)
        if (error === undefined) resolve(result as Fields)
        else reject(new Error(`${method}: ${JSON.stringify(error)}`))
      })
      this.#socket.send(JSON.stringify({ id, method, params, ...(sessionId === undefined ? {} : { sessionId }) }))
    })
  }
}

async function openPage(channel: DevTools, { url, theme, width }: PageOptions): Promise<PageForTests> {
  const { targetId } = await channel.send('Target.createTarget', { url: 'about:blank' })
  const sessionId = String((await channel.send('Target.attachToTarget', { targetId, flatten: true })).sessionId)
  const requests: string[] = []
  const urls = new Map<unknown, string>()
  const statuses: (readonly [requestId: unknown, status: number])[] = []
  const errors: string[] = []
  const send = (method: string, params: Fields = {}) => channel.send(method, params, sessionId)
  const loaded = new Promise<void>((resolve) => {
    channel.listen(sessionId, (method, params) => {
      if (method === 'Network.requestWillBeSent') {
        const url = String((params.request as Fields).url)
        urls.set(params.requestId, url)
        requests.push(url)
      } else if (method === 'Network.responseReceivedExtraInfo')
        statuses.push([params.requestId, Number(params.statusCode)])
      else if (method === 'Runtime.exceptionThrown') errors.push(JSON.stringify(params.exceptionDetails))
      else if (method === 'Log.entryAdded') errors.push(JSON.stringify(params.entry))
      else if (method === 'Page.loadEventFired') resolve()
    })
  })
  for (const domain of ['Network', 'Runtime', 'Log', 'Page']) await send(`${domain}.enable`)
  await send('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: theme }] })
  await send('Emulation.setDeviceMetricsOverride', { width, height: 900, deviceScaleFactor: 1, mobile: false })
  // Keys go to the page, also while another one is in front.
  await send('Emulation.setFocusEmulationEnabled', { enabled: true })
  await send('Page.navigate', { url })
  await loaded
  return {
    requests,
    // The browser may tell of an answer before it tells of its request.
    get answers() {
      return statuses.map(([requestId, status]) => ({ url: urls.get(requestId) ?? '', status }))
    },
    errors,
    async evaluate(expression) {
      const answer = await send('Runtime.evaluate', { expression, returnByValue: true, awaitPromise: true })
      if (answer.exceptionDetails !== undefined) throw new Error(JSON.stringify(answer.exceptionDetails))
      return (answer.result as Fields).value
    },
    async type(text) {
      await send('Input.insertText', { text })
    },
    async press(key, held) {
      for (const event of keyEvents(key, held)) await send('Input.dispatchKeyEvent', event)
    },
    async accessible() {
      return accessibleNodes((await send('Accessibility.getFullAXTree')).nodes as readonly Fields[])
    },
    async screenshot() {
      const { data } = await send('Page.captureScreenshot', { captureBeyondViewport: true })
      return Buffer.from(String(data), 'base64')
    },
    async close() {
      await channel.send('Target.closeTarget', { targetId })
    },
  }
}

const keyCodes: Readonly<Record<string, number>> = { Tab: 9, Enter: 13, Escape: 27 }

function keyEvents(key: string, held: 'Ctrl' | 'Shift' | undefined): Fields[] {
  const code = keyCodes[key] ?? key.toUpperCase().charCodeAt(0)
  const modifiers = held === undefined ? 0 : held === 'Ctrl' ? 2 : 8
  const event = { key, code: key in keyCodes ? key : `Key${key.toUpperCase()}`, windowsVirtualKeyCode: code, modifiers }
  // Without its text Enter presses no button.
  const isWritten = key === 'Enter' && held === undefined
  return [
    { type: isWritten ? 'keyDown' : 'rawKeyDown', ...event, ...(isWritten && { text: '\r' }) },
    { type: 'keyUp', ...event },
  ]
}

/** Without those that are ignored: their children are those of the next one above. */
function accessibleNodes(nodes: readonly Fields[]): AccessibleNode[] {
  const byId = new Map(nodes.map((node) => [String(node.nodeId), node]))
  const parentOf = ({ parentId }: Fields): string => {
    const parent = byId.get(String(parentId))
    return parent?.ignored ? parentOf(parent) : String(parentId ?? '')
  }
  const textOf = (value: unknown): string => String((value as Fields | undefined)?.value ?? '')
  return nodes
    .filter(({ ignored }) => !ignored)
    .map((node) => ({
      id: String(node.nodeId),
      parentId: parentOf(node),
      role: textOf(node.role),
      name: textOf(node.name),
    }))
}
