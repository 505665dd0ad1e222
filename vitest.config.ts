import { defineConfig } from 'vitest/config'

// Test kinds are suffixes beside the source; benches are scripts of their own (`npm run bench`).
export default defineConfig({
  test: {
    pool: 'forks',
    // Whoever waits for something waits long: other work on the machine must fail no test.
    testTimeout: 120_000,
    hookTimeout: 180_000,
    expect: { poll: { timeout: 30_000 } },
    projects: [
      {
        extends: true,
        // Functions and classes of one process: two files at a time, first, so that a simple fault shows within minutes.
        test: {
          name: 'units',
          include: ['**/*.{test,fuzz}.ts'],
          exclude: ['node_modules/**', '.cache/**', 'data/**'],
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        // One part and the real servers that it speaks to, and faults, which a ledger decides however busy the machine is: two files at
        // a time, each with servers of its own.
        test: {
          name: 'servers',
          include: ['{control,ingest,pipeline,runtime}/**/*.integration.ts', '**/*.fault.ts'],
          exclude: ['node_modules/**', '.cache/**', 'data/**'],
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        // Whole installations: one waits for its processes, its roll-ups and its limits while the other one works.
        test: {
          name: 'installations',
          include: ['{console,infra,loadtest,schemas}/**/*.integration.ts'],
          exclude: ['node_modules/**', '.cache/**', 'data/**'],
          maxWorkers: 2,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
})
