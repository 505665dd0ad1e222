/** docs/ENDPOINTS.md from the tables of endpoint kinds: `node infra/run.js infra/checks/endpoints-document.ts > docs/ENDPOINTS.md`. */
import { type EndpointKindTable, endpointKinds } from '#schemas/endpoint-kinds/endpoint-kinds.ts'
import type { EndpointField } from '#schemas/endpoint-kinds/field.ts'

export function endpointsDocument(): string {
  const kinds = Object.entries<EndpointKindTable>(endpointKinds).map(
    ([name, { fields, guarantee, meaning }]) => `## ${name}

${meaning[0]?.toUpperCase()}${meaning.slice(1)}, ${guarantee}.

| setting | default | allowed | meaning |
|---|---|---|---|
${Object.entries(fields).map(rowOf).join('\n')}
`,
  )
  return `# Endpoints and their settings

What routes can name, and how each kind is set. [ROUTING.md](ROUTING.md) says how they are used. Secrets are written and never shown again. Where a
setting marked with * changes, they must be given again, since it says where they are sent. This page is generated from
\`schemas/endpoint-kinds/\`.

${kinds.join('\n')}`
}

function rowOf([name, field]: [string, EndpointField]): string {
  const { default: fallback } = field as { readonly default?: string | number | boolean }
  const given = field.required ? 'must be given' : fallback === undefined ? '' : `\`${fallback}\``
  return `| \`${name}\`${field.address ? ' *' : ''} | ${given} | ${cell(allowed(field))} | ${cell(field.meaning)} |`
}

function allowed(field: EndpointField): string {
  switch (field.type) {
    case 'text':
      return (field.example ?? 'text') + (field.secret ? ', never shown' : '')
    case 'url':
      return field.schemes.map((scheme) => `${scheme}://…`).join(' or ')
    case 'integer':
      return `${field.min} to ${field.max}`
    case 'boolean':
      return 'true, false'
    case 'choice':
      return field.choices.join(', ')
    case 'texts':
      return `an object of texts, at most ${field.countMax}${field.secret ? ', shown by their names only' : ''}`
    case 'columns':
      return `a list of \`{name, type, expression}\`, at most ${field.countMax}`
  }
}

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('<', '&lt;')

if (process.argv[1] === import.meta.filename) process.stdout.write(endpointsDocument())
