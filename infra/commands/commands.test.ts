/** What people mistype gets a text that says what is allowed, and never a stack. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'

const dataDir = mkdtempSync(join(tmpdir(), 'penstock-commands-'))
afterAll(() => rmSync(dataDir, { recursive: true, force: true }))

function run(script: string, args: readonly string[]) {
  const env = { ...process.env, PENSTOCK_DATA_DIR: dataDir }
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(import.meta.dirname, '..', script), ...args], {
    env,
    encoding: 'utf8',
  })
  return { status, stdout, stderr }
}

describe('commands', () => {
  test.each([
    ['dead-letters drop 9:9', /DEAD_LETTER_UNKNOWN/],
    ['dead-letters replay 0:0', /there is no dead letter 0:0/],
    ['dead-letters show', /^"" is not the id of a dead letter: <partition:offset>/],
    ['dead-letters drop x', /^"x" is not the id of a dead letter/],
    ['backup', /^the folder of the backup is expected\n\npenstock backup <folder>/],
    ['backup somewhere --tables-to x', /--tables-to is for a ClickHouse server/],
    ['restore', /^the folder of one backup is expected/],
    ['restore /nonexistent', /BACKUP_INCOMPLETE/],
    ['dead-letters', /^nothing is not a command\n\npenstock dead-letters <command>/],
    ['edge --indexx 1', /^penstock edge takes \[--index <n>\], not: --indexx 1/],
    ['edge --index=x', /^penstock edge takes/],
    ['nonsense', /^unknown command: nonsense/],
  ])('penstock %s is refused with what is allowed', (line, expected) => {
    const { status, stderr } = run('penstock.js', line.split(' '))
    expect(status).toBe(1)
    expect(stderr).toMatch(expected)
    expect(stderr).not.toMatch(/^ +at /m)
  })

  test.each([
    ['penstock.js', '--help', 'penstock <command>'],
    ['penstock.js', 'edge --help', 'penstock <command>'],
    ['penstock.js', 'dead-letters -h', 'penstock dead-letters <command>'],
    ['penstock.js', 'devices --help', 'penstock devices <command>'],
    ['penstock.js', 'jobs --help', 'penstock jobs <command>'],
    ['penstock.js', 'policies --help', 'penstock policies <command>'],
    ['penstock.js', 'authorities --help', 'penstock authorities <command>'],
    ['bench.ts', '--help', 'npm run bench'],
  ])('%s %s says what there is', (script, line, expected) => {
    const { status, stdout, stderr } = run(script, line.split(' '))
    expect(stdout).toContain(expected)
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  })

  test.each([
    ['--round 3', /^Unknown option '--round'/],
    ['n99', /^no bench named n99\n/],
  ])('npm run bench -- %s runs nothing and says what there is', (line, expected) => {
    const { status, stdout, stderr } = run('bench.ts', line.split(' '))
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
    expect(stderr).toMatch(expected)
    expect(stderr).toMatch(/--rounds <n>[\s\S]*n1-pipeline/)
  })
})
