/** Files that devices upload, as clients name them: `https://{host}/{container}/{device id}/{name}`. */

/** The one container that there is. */
export const uploadContainer = 'device-files'

/** The host of files, as clients put it into an address. @param httpsPort where this installation listens */
export function uploadHost(host: string | undefined, hubName: string, httpsPort: number): string {
  return host ?? (httpsPort === 443 ? hubName : `${hubName}:${httpsPort}`)
}

/** Where a file is read. @param path device id and name */
export function blobUri(host: string, path: string): string {
  return `https://${host}/${uploadContainer}/${path.split('/').map(encodeURIComponent).join('/')}`
}
