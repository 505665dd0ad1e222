import { isIP } from 'node:net'

/** True for an address of this machine, compressed or spelt out. */
export function isLoopbackAddress(address: string | undefined): boolean {
  return address !== undefined && loopback.test(address)
}

/** True for an address to listen on that only this machine can reach. */
export function isLoopbackBind(bind: string): boolean {
  return bind === 'localhost' || bind === '::1' || (isIP(bind) === 4 && bind.startsWith('127.'))
}

const loopback = /^(127\.[\d.]+|::1|::ffff:127\.[\d.]+|(0000:){7}0001|(0000:){5}ffff:7f[0-9a-f]{2}:[0-9a-f]{4})$/i

/** The host of a URL: IPv6 stands in brackets there. */
export function urlHost(address: string): string {
  return isIP(address) === 6 ? `[${address}]` : address
}
