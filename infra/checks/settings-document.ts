/** docs/SETTINGS.md from the settings table: `node infra/run.js infra/checks/settings-document.ts > docs/SETTINGS.md`. */
import type { Setting } from '#schemas/setting.ts'
import { settingsFileEnv, settingsTable } from '#schemas/settings.ts'

export function settingsDocument(): string {
  const rows = Object.values<Setting>(settingsTable).map(
    (setting) => `| \`${setting.env}\` | ${setting.default ?? ''} | ${allowed(setting)} | ${setting.meaning} |`,
  )
  return `# Settings

Environment variables, or lines \`PENSTOCK_NAME=value\` of the file that \`${settingsFileEnv}\` names; the environment wins. An unknown or bad
setting stops the start, and all faults are named at once. This page is generated from \`schemas/settings.ts\`.

A setting that is *never shown* is a secret. It may lie in a file: \`PENSTOCK_NAME_FILE\` names one that holds the secret, and nothing else, on one
line. That is how Docker, Kubernetes and systemd hand secrets over. A secret that is given both ways in one place stops the start.

| setting | default | allowed | meaning |
|---|---|---|---|
${rows.join('\n')}
`
}

function allowed(setting: Setting): string {
  switch (setting.kind) {
    case 'text':
      return 'text'
    case 'secret':
      return 'text, never shown'
    case 'url':
      return `${setting.schemes.map((scheme) => `${scheme}://…`).join(' or ')}, ${setting.secret ? 'never shown' : 'without user and password'}`
    case 'hosts':
      return 'host:port, …'
    case 'integer':
      return `${setting.min} to ${setting.max}`
    case 'choice':
      return setting.choices.join(', ')
  }
}

if (process.argv[1] === import.meta.filename) process.stdout.write(settingsDocument())
