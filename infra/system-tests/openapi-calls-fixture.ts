/** Calls of the document's operations, by capability: digital twins, models, transfers, and senders of other formats. */

interface Options {
  readonly body?: unknown
  readonly headers?: Record<string, string>
  readonly token?: string
}

/** Asks, and takes a right answer with this status only. */
export type Rightly = (
  status: number,
  method: string,
  target: string,
  options?: Options,
) => Promise<{ readonly text: string }>

/** Of device d1, which is there and answers. */
export async function callDigitalTwin(rightly: Rightly): Promise<void> {
  const at = '/digitaltwins/d1'
  await rightly(200, 'GET', at)
  await rightly(404, 'GET', '/digitaltwins/nobody')
  await rightly(202, 'PATCH', at, { body: [{ op: 'add', path: '/lamp', value: { on: true, $metadata: {} } }] })
  await rightly(400, 'PATCH', at, { body: [{ op: 'move', path: '/lamp' }] })
  await rightly(412, 'PATCH', at, { body: [{ op: 'remove', path: '/lamp' }], headers: { 'if-match': '"AAAA"' } })
  for (const owner of [at, `${at}/components/lamp`]) await rightly(200, 'POST', `${owner}/commands/blink`, { body: {} })
  await rightly(404, 'POST', '/digitaltwins/nobody/commands/blink', { body: {} })
}

export async function callModels(rightly: Rightly): Promise<void> {
  const document = { type: 'object', properties: { temperature: { type: 'number' }, on: { type: 'boolean' } } }
  const bad = { document: { type: 'array' } }
  const at = '/api/models/pump'
  await rightly(200, 'PUT', at, { body: { document } })
  await rightly(400, 'PUT', '/api/models/bad', { body: bad })
  await rightly(200, 'GET', at)
  await rightly(404, 'GET', '/api/models/none')
  await rightly(200, 'GET', '/api/models')
  await rightly(200, 'POST', '/api/models/plan', { body: { name: 'other', document, pins: ['temperature'] } })
  await rightly(200, 'POST', '/api/models/plan', { body: { name: 'other', ...bad } })
  await rightly(200, 'POST', '/api/models/suggest', { body: {} })
  await rightly(200, 'PUT', `${at}/pins/temperature`)
  await rightly(404, 'PUT', `${at}/pins/none`)
  await rightly(200, 'PUT', `${at}/charts`)
  await rightly(200, 'DELETE', `${at}/charts`)
  await rightly(200, 'DELETE', `${at}/pins/temperature`)
  await rightly(204, 'DELETE', at)
  await rightly(404, 'DELETE', at)
}

/** An export to a container that nobody serves. */
export async function callTransfers(rightly: Rightly): Promise<void> {
  const content = { type: 'export', outputBlobContainerUri: 'http://127.0.0.1:9/account/container?sig=x' }
  await rightly(400, 'POST', '/jobs/create', { body: { ...content, type: 'copy' } })
  const { text } = await rightly(200, 'POST', '/jobs/create', { body: { ...content, excludeKeysInExport: true } })
  const at = `/jobs/${(JSON.parse(text) as { jobId: string }).jobId}`
  await rightly(200, 'GET', at)
  await rightly(200, 'GET', '/jobs')
  await rightly(204, 'DELETE', at)
  await rightly(404, 'DELETE', '/jobs/none')
  await rightly(404, 'GET', '/jobs/none')
}

/** @param device token of device d1 @param module of its module m */
export async function callForSenders(rightly: Rightly, device: string, module: string): Promise<void> {
  const headers = { 'content-type': 'application/json' }
  for (const [beginning, token] of [
    ['', device],
    ['/devices/d1', device],
    ['/devices/d1/modules/m', module],
  ] as const) {
    await rightly(204, 'GET', `${beginning}/ping`)
    await rightly(200, 'GET', `${beginning}/health`)
    for (const write of ['/write?db=d1', '/api/v2/write?bucket=d1']) {
      await rightly(204, 'POST', `${beginning}${write}`, { body: 'weather temperature=21.5', token })
      await rightly(400, 'POST', `${beginning}${write}`, { body: 'weather', token })
    }
    for (const method of ['GET', 'POST']) await rightly(404, method, `${beginning}/query`)
    await rightly(200, 'POST', `${beginning}/v1/metrics`, { body: { resourceMetrics: [] }, headers, token })
    await rightly(400, 'POST', `${beginning}/v1/metrics`, { body: 'no JSON', headers, token })
    await rightly(200, 'POST', `${beginning}/v1/logs`, { body: { resourceLogs: [] }, headers, token })
    await rightly(404, 'POST', `${beginning}/v1/traces`, { body: '{}', headers })
  }
}
