import { describe, expect, test } from 'vitest'
import { SoftwareTpm } from './software-tpm-fixture.ts'
import { type TpmPublic, tpmChallenge, tpmPublicFrom } from './tpm-challenge.ts'

const key = Buffer.alloc(32, 5)

function publicOf(text: string): TpmPublic {
  const read = tpmPublicFrom(text)
  if (read === undefined) throw new Error('unreadable')
  return read
}

const challengeFor = (tpm: SoftwareTpm, root = tpm): string =>
  tpmChallenge(publicOf(tpm.endorsementKey), publicOf(root.storageRootKey), key)

describe('a challenge for a TPM', () => {
  test('has the length that clients expect, and is opened by the TPM whose keys it was made for', () => {
    const tpm = new SoftwareTpm()
    const challenge = challengeFor(tpm)
    expect(Buffer.from(challenge, 'base64')).toHaveLength(764)
    tpm.activate(challenge)
    expect(tpm.tokenOf('s/registrations/d')).toContain('skn=registration')
  })

  test('is opened by no other, not even by one that has one of the two keys, and not once it was changed', () => {
    const [tpm, other] = [new SoftwareTpm(), new SoftwareTpm()]
    expect(() => other.activate(challengeFor(tpm))).toThrow()
    expect(() => tpm.activate(challengeFor(tpm, other))).toThrow()
    for (const at of [10, 60, 330, 480, 740]) {
      const changed = Buffer.from(challengeFor(tpm), 'base64')
      changed.writeUInt8(changed.readUInt8(at) ^ 1, at)
      expect(() => tpm.activate(changed.toString('base64')), `byte ${at}`).toThrow()
    }
  })

  test.each([
    '',
    'AA==',
    'not base64',
    Buffer.alloc(300).toString('base64'),
    Buffer.from('0004000b000b', 'hex').toString('base64'),
  ])('no key is read from %j', (text) => expect(tpmPublicFrom(text)).toBeUndefined())
})
