import type { AdmissionRules } from './auth.ts'

/** @param hostnames `hub.example` or a list behind commas, ports left aside; the first is the hub's own in messages */
export function admissionRules(hostnames: string, clockSkewSeconds: number): AdmissionRules {
  const hubNames = hostnames
    .split(',')
    .map((name) => name.trim().toLowerCase().replace(/:\d+$/, ''))
    .filter((name) => name !== '')
  return { hubNames: hubNames.length > 0 ? hubNames : ['localhost'], clockSkewMs: clockSkewSeconds * 1_000 }
}
