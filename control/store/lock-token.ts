const pattern = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/** True for what a lock token looks like; another text locks nothing. */
export function isLockToken(text: string): boolean {
  return pattern.test(text)
}
