import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { emptyRouting } from '#schemas/routing/routing.ts'
import { FileRoutingStore } from './file-routing-store.ts'
import { routingStoreConformance } from './routes.conformance.ts'
import { reportMsMax } from './routes.ts'

const newFolder = (): string => mkdtempSync(join(tmpdir(), 'penstock-routing-'))

routingStoreConformance('files', async () => {
  const folder = newFolder()
  const [control, router] = [new FileRoutingStore(folder), new FileRoutingStore(folder)]
  return {
    control,
    router,
    async close() {
      await Promise.all([control.close(), router.close()])
      rmSync(folder, { recursive: true })
    },
  }
})

test("files are their user's alone; a document that cannot be read is no empty one", async () => {
  const folder = newFolder()
  const store = new FileRoutingStore(folder)
  await store.write(emptyRouting, undefined)
  expect(statSync(join(folder, 'document.json')).mode & 0o777).toBe(0o600)
  for (const text of ['', '{', '{"revision":1}', 'null']) {
    writeFileSync(join(folder, 'document.json'), text)
    await expect(store.read()).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    await expect(store.write(emptyRouting, undefined)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
  }
  rmSync(folder, { recursive: true })
})

test('reports of routers that are gone, and what is no report, are left out', async () => {
  const folder = newFolder()
  const store = new FileRoutingStore(folder)
  await store.report({ router: 'gone', atMs: Date.now() - reportMsMax - 1, revision: 1, endpoints: [] })
  await store.report({ router: 'here', atMs: Date.now(), revision: 1, endpoints: [] })
  writeFileSync(join(folder, 'routers', 'x.json'), '{')
  expect((await store.reports()).map(({ router }) => router)).toEqual(['here'])
  expect(readdirSync(join(folder, 'routers')).sort()).toEqual(['here.json', 'x.json'])
  rmSync(folder, { recursive: true })
})
