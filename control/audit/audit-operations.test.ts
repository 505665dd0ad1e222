import { expect, test } from 'vitest'
import type { HttpRequest } from '#runtime/http/request.ts'
import { auditOperations } from './audit-operations.ts'

test('a filter that no row could meet is refused', async () => {
  const [operation] = auditOperations({ list: async () => [] })
  const asked = (name: string) =>
    operation!.run(
      { query: (key) => (key === name ? 'a\0b' : undefined), header: () => '' } satisfies Partial<HttpRequest> as never,
      new Uint8Array(),
    )
  for (const name of ['kind', 'policy', 'from', 'path', 'since', 'until'])
    await expect(asked(name), name).rejects.toMatchObject({ code: 'REGISTRY_ARGUMENT_INVALID' })
})
