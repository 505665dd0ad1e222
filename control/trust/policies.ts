import { isKey, newKey } from '#control/identities/identity.ts'
import { ownerPolicyName, provisioningPolicyName, type Right, rights } from '#control/rest/rights.ts'
import { PenstockError } from '#schemas/errors.ts'
import { writeOwnerKey } from './owner-key.ts'
import type { KeyName, Policy, TrustStore } from './trust.ts'

/** The hub's own policies and their rights. */
const defaultPolicies: Readonly<Record<string, readonly Right[]>> = {
  [ownerPolicyName]: rights,
  service: ['ServiceConnect'],
  device: ['DeviceConnect'],
  registryRead: ['RegistryRead'],
  registryReadWrite: ['RegistryRead', 'RegistryWrite'],
}

const provisioningRights: readonly Right[] = [
  'EnrollmentRead',
  'EnrollmentWrite',
  'RegistrationStatusRead',
  'RegistrationStatusWrite',
]

/**
 * Makes the default policies that are missing, with keys of their own, and sets the owner's primary key to `ownerKey` if
 * given. The owner's primary key is left in `<dataDir>/owner-key`, readable by this user only, for the tools of this machine.
 * @param ownerKey base64 of 16 to 64 bytes; `undefined`: the key made at the first start stays
 * @returns the owner's primary key
 * @throws PenstockError SETTINGS_INVALID, STORE_UNAVAILABLE
 */
export async function ensurePolicies(
  store: TrustStore,
  dataDir: string | undefined,
  ownerKey: string | undefined,
): Promise<string> {
  if (ownerKey !== undefined && !isKey(ownerKey)) {
    throw new PenstockError('SETTINGS_INVALID', 'PENSTOCK_OWNER_KEY must be base64 of 16 to 64 bytes')
  }
  await store.addPolicies(
    Object.entries(defaultPolicies).map(([name, policyRights]) => ({
      name,
      rights: policyRights,
      primaryKey: (name === ownerPolicyName && ownerKey) || newKey(),
      secondaryKey: newKey(),
    })),
  )
  let owner = await ownerOf(store)
  const [primaryKey, secondaryKey] = [owner.primaryKey, newKey()]
  await store.addPolicies([{ name: provisioningPolicyName, rights: provisioningRights, primaryKey, secondaryKey }])
  if (ownerKey !== undefined && owner.primaryKey !== ownerKey) {
    owner = { ...owner, primaryKey: ownerKey }
    await store.putPolicy(owner)
    await followOwnerKey(store, primaryKey, ownerKey)
  }
  if (dataDir !== undefined) writeOwnerKey(dataDir, owner.primaryKey)
  return owner.primaryKey
}

/**
 * Gives a policy a new key; the old one ends. The owner's primary key is left for the tools of this machine, as at the start.
 * @param ownerKey the owner's primary key where a setting says it: then it is not changed here, since the next start would undo it
 * @throws PenstockError REGISTRY_POLICY_UNKNOWN, REGISTRY_ARGUMENT_INVALID
 */
export async function rekeyPolicy(
  store: TrustStore,
  { dataDir, ownerKey }: { readonly dataDir: string; readonly ownerKey: string | undefined },
  name: string,
  which: KeyName,
): Promise<Policy> {
  const isOwnerKey = name === ownerPolicyName && which === 'primary'
  if (isOwnerKey && ownerKey !== undefined) {
    throw new PenstockError('REGISTRY_ARGUMENT_INVALID', 'this key is the setting PENSTOCK_OWNER_KEY: change it there')
  }
  const before = isOwnerKey ? await ownerOf(store) : undefined
  const policy = await store.rekeyPolicy(name, which, newKey())
  if (!policy) throw new PenstockError('REGISTRY_POLICY_UNKNOWN', `no policy ${name}`)
  if (before !== undefined) {
    await followOwnerKey(store, before.primaryKey, policy.primaryKey)
    writeOwnerKey(dataDir, policy.primaryKey)
  }
  return policy
}

/** A key of the owner's that ends must not live on under another name. */
async function followOwnerKey(store: TrustStore, before: string, after: string): Promise<void> {
  const policy = (await store.trust()).policies.find(({ name }) => name === provisioningPolicyName)
  if (policy?.primaryKey === before) await store.putPolicy({ ...policy, primaryKey: after })
}

async function ownerOf(store: TrustStore): Promise<Policy> {
  const owner = (await store.trust()).policies.find(({ name }) => name === ownerPolicyName)
  if (!owner) throw new PenstockError('STORE_UNAVAILABLE', `policy ${ownerPolicyName} vanished from the control store`)
  return owner
}
