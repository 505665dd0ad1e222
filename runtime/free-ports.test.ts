import { createServer } from 'node:net'
import { expect, test } from 'vitest'
import { freePorts } from './free-ports.ts'

test('ports are different, free, and none that an outgoing connection is given', async () => {
  const ports = await freePorts(20)
  expect(new Set(ports).size).toBe(20)
  for (const port of ports) {
    expect(port).toBeLessThan(32_768)
    await new Promise<void>((resolve, reject) => {
      const server = createServer().once('error', reject)
      server.listen(port, '127.0.0.1', () => server.close(() => resolve()))
    })
  }
})

test('an address that is not of this machine is refused instead of looked at for ever', async () => {
  await expect(freePorts(1, '192.0.2.1')).rejects.toMatchObject({ code: 'EADDRNOTAVAIL' })
})
