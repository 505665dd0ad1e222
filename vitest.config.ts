import { defineConfig } from 'vitest/config'

// Test kinds are suffixes beside the source; benches are scripts of their own (`npm run bench`).
export default defineConfig({
  test: {
    include: ['**/*.{test,fuzz,conformance.test,integration,fault}.ts'],
    exclude: ['node_modules/**', 'data/**'],
    pool: 'forks',
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
})
