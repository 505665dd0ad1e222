import { execFileSync } from 'node:child_process'
import { join } from 'node:path'

/** A certificate for this machine's own addresses, ECDSA P-256, valid for two days. @param folder where its files go */
export function selfSigned(folder: string): { readonly certFile: string; readonly keyFile: string } {
  const [certFile, keyFile] = [join(folder, 'cert.pem'), join(folder, 'key.pem')]
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1']
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  execFileSync('openssl', ['req', '-x509', ...curve, '-keyout', keyFile, '-out', certFile, '-days', '2', ...subject], {
    stdio: 'ignore',
  })
  return { certFile, keyFile }
}
