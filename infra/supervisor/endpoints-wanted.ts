import type { Logger } from '#runtime/logger.ts'
import type { Settings } from '#schemas/settings.ts'

/**
 * Resolves once routes may lead to an endpoint, for which a router must run; without one it would only take memory. On PostgreSQL other
 * machines write the document, and a router always runs.
 */
export async function endpointsWanted(settings: Settings, logger: Logger, stopped: AbortSignal): Promise<void> {
  if (settings.postgresUrl !== undefined) return
  // Loaded after all that the start waits for.
  const { openRoutingStore } = await import('#control/open-routing.ts')
  const store = await openRoutingStore({ ...settings, logger })
  try {
    await new Promise<void>((resolve) => {
      const look = async (): Promise<void> => {
        const { document } = await store.read()
        if (document.endpoints.length > 0) resolve()
      }
      const looks = (): void =>
        void look().catch((error: unknown) => logger.warn('the document of routes cannot be read', { error }))
      store.onChange(looks)
      stopped.addEventListener('abort', () => resolve(), { once: true })
      looks()
    })
  } finally {
    await store.close()
  }
}
