/** docs/OPERATIONS.md: what it names exists, and every alert has its runbook. What it tells to run is run by image.integration.ts. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { root } from '#infra/checks/sources.ts'
import { commands } from '#infra/commands/commands.ts'
import { roleNames } from '#infra/roles/role-contract.ts'
import { metricsTable } from '#schemas/metrics.ts'
import { isSecret, type Setting, secretFileEnv } from '#schemas/setting.ts'
import { settingsTable } from '#schemas/settings.ts'

const read = (file: string): string => readFileSync(join(root, file), 'utf8')
const text = read('docs/OPERATIONS.md')
const rules = read('docs/alerts.yml')
  .split(/^ {6}- alert: /m)
  .slice(1)
const alerts = rules.map((rule) => rule.split('\n')[0] ?? '')
const anchorOf = (heading: string) =>
  heading
    .toLowerCase()
    .replaceAll(/[^\w -]/g, '')
    .replaceAll(' ', '-')
const headings = [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => heading)

describe('docs/OPERATIONS.md', () => {
  test('has a runbook for each alert, in their order, and none for an alert that there is not', () => {
    expect(alerts.length).toBeGreaterThan(10)
    expect(headings.filter((heading) => /^Penstock[A-Z]/.test(heading))).toEqual(alerts)
  })

  test.each(rules.map((rule, index) => [alerts[index], rule]))('the alert %s leads to its runbook', (alert, rule) => {
    expect(rule).toContain(`\n          runbook: docs/OPERATIONS.md#${alert?.toLowerCase()}\n`)
  })

  test('names commands, settings, metrics and files that exist', () => {
    const named = [...text.matchAll(/(?<![\w/<-])penstock ([a-z][a-z-]*)/g)].map(([, name = '']) => name)
    const known = [...commands.keys(), ...roleNames, 'start']
    expect(named.length).toBeGreaterThan(20)
    // `helm install penstock infra/…` has a release of this name.
    for (const name of named.filter((each) => each !== 'infra')) expect(known, name).toContain(name)
    const settings = Object.values<Setting>(settingsTable)
    const variables = [
      ...settings.map(({ env }) => env),
      ...settings.filter(isSecret).map(({ env }) => secretFileEnv(env)),
    ]
    for (const [name] of text.matchAll(/PENSTOCK_[A-Z0-9_]*[A-Z0-9]/g)) expect(variables, name).toContain(name)
    for (const [name] of text.matchAll(/penstock_[a-z]+_[a-z_]+/g))
      expect(Object.keys(metricsTable), name).toContain(name.replace(/_(bucket|sum|count)$/, ''))
    for (const [path] of text.matchAll(/infra\/[\w/.-]*\w/g)) expect(existsSync(join(root, path)), path).toBe(true)
  })

  test('its links lead somewhere', () => {
    for (const [, file = '', anchor] of text.matchAll(/\]\(([^)#]*)(?:#([\w-]+))?\)/g)) {
      const path = file === '' ? 'docs/OPERATIONS.md' : join('docs', file)
      expect(existsSync(join(root, path)), path).toBe(true)
      const anchors = [...read(path).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => anchorOf(heading))
      if (anchor) expect(anchors, path).toContain(anchor)
    }
  })
})
