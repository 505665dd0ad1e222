/** docs/LICENCES.md from the lock file: `npx node infra/checks/licences-document.ts > docs/LICENCES.md`. */
import { type LockedPackage, lockedPackages } from './locked-packages.ts'

export function licencesDocument(): string {
  const packages = lockedPackages()
  const runs = packages.filter(({ isDevelopment }) => !isDevelopment)
  const develops = packages.filter(({ isDevelopment }) => isDevelopment)
  return `# Licences of what is installed

Penstock itself is under the Apache License 2.0 ([LICENSE](../LICENSE)). npm installs the packages below, on each platform a part of them. This page
is generated from \`package-lock.json\`; [SECURITY.md](SECURITY.md#supply-chain) says which licences may be used, and what is built into binaries.

## What runs

| package | version | licence |
|---|---|---|
${rowsOf(runs).join('\n')}

## What only tests, benches and checks load

| licence | packages |
|---|---|
${groupsOf(develops).join('\n')}
`
}

function rowsOf(packages: readonly LockedPackage[]): string[] {
  return sorted(packages.map(({ name, version, licence }) => `| ${name} | ${version} | ${licence} |`))
}

function groupsOf(packages: readonly LockedPackage[]): string[] {
  const licences = sorted(packages.map(({ licence }) => licence ?? ''))
  return licences.map((licence) => {
    const names = packages.filter((each) => each.licence === licence).map(({ name, version }) => `${name} ${version}`)
    return `| ${licence} | ${sorted(names).join(', ')} |`
  })
}

/** Each once, in the order of character codes, which is the same everywhere. */
function sorted(lines: readonly string[]): string[] {
  return [...new Set(lines)].sort()
}

if (process.argv[1] === import.meta.filename) process.stdout.write(licencesDocument())
