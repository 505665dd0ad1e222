/** The only place that knows the YAML library. */
import { parseDocument } from 'yaml'

/** Reads one YAML 1.2 document as plain data; its faults each name line and column. Then there is no data. */
export function dataOfYaml(text: string): { readonly data: unknown; readonly faults: readonly string[] } {
  const document = parseDocument(text)
  // A warning is of a tag that is not known: its value would be another than was meant.
  const faults = [...document.errors, ...document.warnings].map(withoutExcerpt)
  if (faults.length > 0) return { data: undefined, faults }
  try {
    return { data: document.toJS(), faults }
  } catch (error) {
    // Aliases that grow without bound.
    return { data: undefined, faults: [error instanceof Error ? error.message : String(error)] }
  }
}

/** The library's messages end with the lines around the place. */
function withoutExcerpt({ message }: Error): string {
  return message.split(':\n', 1)[0] ?? message
}
