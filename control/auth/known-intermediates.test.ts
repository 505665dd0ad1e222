import { X509Certificate } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { makeCertificate } from '#runtime/certificate-maker.ts'
import { KnownIntermediates } from './known-intermediates.ts'

const times = { notBeforeMs: Date.now() - 1000, notAfterMs: Date.now() + 3_600_000 }
const root = makeCertificate({ commonName: 'root', authority: true, ...times })
const line = makeCertificate({ commonName: 'line', authority: true, issuer: root, ...times })
const cell = makeCertificate({ commonName: 'cell', authority: true, issuer: line, ...times })
const leafOf = (id: string) => read(makeCertificate({ commonName: id, issuer: cell, use: 'client', ...times }))
const read = ({ certificatePem }: { certificatePem: string }) => new X509Certificate(certificatePem)
const names = (chain: readonly X509Certificate[]) => chain.map(({ subject }) => subject)

describe('intermediates of admitted devices', () => {
  test('complete the lone leaf of another device of the same line, in order', () => {
    const known = new KnownIntermediates()
    known.remember([leafOf('d1'), read(cell), read(line)])
    expect(names(known.completed([leafOf('d2')]))).toEqual(['CN=d2', 'CN=cell', 'CN=line'])
  })

  test('add nothing to a chain that was sent, to a stranger, or to a namesake', () => {
    const known = new KnownIntermediates()
    const chain = [leafOf('d1'), read(cell)]
    expect(known.completed([leafOf('d1')]).length).toBe(1)
    known.remember([leafOf('d1'), read(cell)])
    expect(known.completed(chain)).toBe(chain)
    expect(known.completed([]).length).toBe(0)
    const namesake = makeCertificate({ commonName: 'cell', authority: true, ...times })
    const other = read(makeCertificate({ commonName: 'd3', issuer: namesake, use: 'client', ...times }))
    expect(known.completed([other])).toEqual([other])
  })

  test('are bounded, the one kept longest leaves first, and a leaf is none', () => {
    const known = new KnownIntermediates(1)
    known.remember([leafOf('d1'), leafOf('d2'), read(line), read(cell)])
    expect(names(known.completed([leafOf('d3')]))).toEqual(['CN=d3', 'CN=cell'])
  })
})
