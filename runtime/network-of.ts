import { isIPv6 } from 'node:net'

/** An IPv4 address, or the /64 of an IPv6 address, since one subscriber has a whole /64. */
export function networkOf(address: string): string {
  const mapped = /^(?:::ffff:|(?:0000:){5}ffff:)(\d+\.\d+\.\d+\.\d+)$/i.exec(address)
  if (mapped) return mapped[1] as string
  if (!isIPv6(address)) return address
  const [head = '', tail] = address.split('::')
  const groups = head === '' ? [] : head.split(':')
  if (tail !== undefined) {
    const after = tail === '' ? [] : tail.split(':')
    while (groups.length + after.length < 8) groups.push('0')
    groups.push(...after)
  }
  return groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')
}
