/** JSON of the same meaning whose text is ASCII: some of the hub's clients read nothing else, or read it in the encoding of their machine. */
export function asciiJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /[\u007f-\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
