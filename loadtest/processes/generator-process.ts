/** One generator process: told by its parent what to send, and when to begin. */

import { ExchangeGenerator } from '#loadtest/exchange/exchange-generator.ts'
import { Generator, type GeneratorInterval, type GeneratorReport } from '#loadtest/generate/generator.ts'
import { HttpGenerator } from '#loadtest/generate/http-generator.ts'
import type { GeneratorSlice } from '#loadtest/generate/shares.ts'
import { isClosedLoop, type LoadOptions } from '#loadtest/options/load-options.ts'

/** Parent to process. */
export type GeneratorCommand =
  | { readonly kind: 'connect'; readonly options: LoadOptions; readonly slice: GeneratorSlice }
  | { readonly kind: 'run'; readonly startAtMs: number }
  | { readonly kind: 'abort' }

/** Process to parent. */
export type GeneratorEvent =
  | { readonly kind: 'connected'; readonly connectMs: number }
  | { readonly kind: 'progress'; readonly progress: GeneratorInterval }
  | { readonly kind: 'done'; readonly report: GeneratorReport }
  | { readonly kind: 'failed'; readonly code: string | undefined; readonly message: string }

const progressMs = 500

type AnyGenerator = Generator | HttpGenerator | ExchangeGenerator

function generatorOf(options: LoadOptions, slice: GeneratorSlice): AnyGenerator {
  if (options.kind !== 'telemetry') return new ExchangeGenerator(options, slice)
  return isClosedLoop(options) ? new HttpGenerator(options, slice) : new Generator(options, slice)
}

function runProcess(): void {
  let generator: AnyGenerator | undefined
  const tell = (event: GeneratorEvent) => process.send?.(event)
  const fail = (error: unknown) => {
    const code = error instanceof Error && 'code' in error ? String(error.code) : undefined
    process.send?.({ kind: 'failed', code, message: String(error) } satisfies GeneratorEvent, () => process.exit(1))
  }
  const obey = async (command: GeneratorCommand): Promise<void> => {
    switch (command.kind) {
      case 'connect': {
        const begunMs = performance.now()
        generator = generatorOf(command.options, command.slice)
        await generator.connect()
        tell({ kind: 'connected', connectMs: performance.now() - begunMs })
        return
      }
      case 'run': {
        const running = generator
        if (!running) return
        const timer = setInterval(() => tell({ kind: 'progress', progress: running.interval() }), progressMs)
        const report = await running.run(command.startAtMs)
        clearInterval(timer)
        process.send?.({ kind: 'done', report } satisfies GeneratorEvent, () => process.disconnect())
        return
      }
      case 'abort':
        generator?.abort()
        return
    }
  }
  process.on('message', (command: GeneratorCommand) => {
    obey(command).catch(fail)
  })
  process.on('disconnect', () => process.exit(0))
  process.on('uncaughtException', fail)
}

if (import.meta.main) runProcess()
