import { execFile } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { crc32 } from 'node:zlib'
import { afterEach, describe, expect, test } from 'vitest'

const roots: string[] = []
afterEach(() => {
  for (const root of roots.splice(0)) rmSync(root, { recursive: true, force: true })
})

const program = `import { name, type Named } from '#schemas/name.ts'
import { twice } from './twice.ts'
interface Unused {
  readonly at: number
}
const named: Named = { name: twice(name) }
console.log(named.name)
`

/** A project of three files. */
function project(): string {
  const root = mkdtempSync(join(tmpdir(), 'penstock-strip-'))
  roots.push(root)
  write(root, 'package.json', '{ "type": "module", "imports": { "#schemas/*": "./schemas/*" } }')
  write(root, 'infra/program.ts', program)
  write(root, 'infra/twice.ts', 'export const twice = (text: string): string => text + text\n')
  write(root, 'schemas/name.ts', "export interface Named { readonly name: string }\nexport const name: string = 'x'\n")
  for (const file of ['strip-once.js', 'strip-all.js'])
    copyFileSync(join(import.meta.dirname, file), join(root, 'infra', file))
  return root
}

function write(root: string, path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), text)
}

interface End {
  readonly output: string
  readonly errors: string
}

function run(root: string, script = 'infra/program.ts'): Promise<End> {
  return new Promise((resolve) => {
    const args = ['--import', join(root, 'infra/strip-once.js'), join(root, script)]
    execFile(process.execPath, args, { env: {} }, (_error, output, errors) => resolve({ output, errors }))
  })
}

const kept = (root: string, path: string): string => join(root, '.cache/stripped', path)

/** As if that had been stripped from the source. */
function keepInstead(root: string, path: string, code: string, version = process.version): void {
  const sums = [readFileSync(join(root, path), 'utf8'), code].map((text) => crc32(text).toString(16))
  write(root, join('.cache/stripped', path), `${code}// ${version} ${sums.join(' ')}`)
}

describe('sources without their types', () => {
  test('are kept by whoever loads them first, and read by the next', async () => {
    const root = project()
    expect(await run(root)).toEqual({ output: 'xx\n', errors: '' })
    expect(readFileSync(kept(root, 'infra/twice.ts'), 'utf8')).toContain('const twice = (text        )         => text')
    keepInstead(root, 'infra/twice.ts', 'export const twice = (text) => "kept " + text\n')
    expect(await run(root)).toEqual({ output: 'kept x\n', errors: '' })
  })

  test('are all there after an installation; of sources that are gone nothing is', async () => {
    const root = project()
    write(root, '.cache/stripped/infra/gone.ts', '')
    write(root, 'pipeline/log/log.test.ts', 'export const only = 1\n')
    expect(await run(root, 'infra/strip-all.js')).toEqual({ output: '', errors: '' })
    for (const path of ['infra/program.ts', 'infra/twice.ts', 'schemas/name.ts'])
      expect(readFileSync(kept(root, path), 'utf8')).toMatch(/\n\/\/ v22\.\d+\.\d+ [\da-f]+ [\da-f]+$/)
    for (const path of ['infra/gone.ts', 'pipeline/log/log.test.ts'])
      expect(() => readFileSync(kept(root, path))).toThrow('ENOENT')
  })

  test('are stripped again after a change, and by another Node', async () => {
    const root = project()
    await run(root)
    write(root, 'infra/twice.ts', 'export const twice = (text: string): string => text + " two"\n')
    expect(await run(root)).toEqual({ output: 'x two\n', errors: '' })
    keepInstead(root, 'infra/twice.ts', 'export const twice = (text) => "kept " + text\n', 'v22.0.0')
    expect(await run(root)).toEqual({ output: 'x two\n', errors: '' })
  })

  test.each([
    ['changed', (text: string) => text.replace('text + text', "text + 'y'  ")],
    ['cut off', (text: string) => text.slice(0, text.length / 2)],
    ['emptied', () => ''],
  ])('are stripped again where what was kept is %s, and are whole afterwards', async (_name, damage) => {
    const root = project()
    await run(root)
    const whole = readFileSync(kept(root, 'infra/twice.ts'), 'utf8')
    expect(damage(whole)).not.toBe(whole)
    writeFileSync(kept(root, 'infra/twice.ts'), damage(whole))
    expect(await run(root)).toEqual({ output: 'xx\n', errors: '' })
    expect(readFileSync(kept(root, 'infra/twice.ts'), 'utf8')).toBe(whole)
  })

  test('run also where nothing can be kept', async () => {
    const root = project()
    write(root, '.cache', '')
    expect(await run(root)).toEqual({ output: 'xx\n', errors: '' })
  })

  test('have the lines and columns of the source, and are read by threads too', async () => {
    const root = project()
    const thread = 'new Worker(new URL("./program.ts", import.meta.url))'
    write(root, 'infra/thread.ts', `import { Worker } from 'node:worker_threads'\n${thread}\n`)
    write(root, 'infra/twice.ts', 'type A =\n  1\nexport const twice = (a: string): A => { throw new Error(a) }\n')
    for (const script of ['infra/program.ts', 'infra/thread.ts'])
      expect((await run(root, script)).errors).toContain('infra/twice.ts:3:48')
    keepInstead(root, 'infra/twice.ts', 'export const twice = (text) => "kept " + text\n')
    expect(await run(root, 'infra/thread.ts')).toEqual({ output: 'kept x\n', errors: '' })
  })

  test('that are missing, or cannot be stripped, are told of as Node does', async () => {
    const root = project()
    write(root, 'infra/twice.ts', 'export enum Twice { yes }\n')
    expect((await run(root)).errors).toContain('ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX')
    rmSync(join(root, 'infra/twice.ts'))
    expect((await run(root)).errors).toContain(join(root, 'infra/twice.ts'))
  })
})
