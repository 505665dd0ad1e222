import type { EndpointField, SettingsOf } from './field.ts'
import { checkObjectNames, type FieldFault, objectFields } from './object-fields.ts'

/** Block blobs in a container of Azure Blob Storage. */
export const azureBlobFields = {
  account: {
    type: 'text',
    required: true,
    pattern: /^[a-z0-9]{3,24}$/,
    example: '3 to 24 lower case letters and digits',
    address: true,
    meaning: 'the storage account',
  },
  endpoint: {
    type: 'url',
    schemes: ['https', 'http'],
    address: true,
    meaning: 'address of its blobs; unset: https://<account>.blob.core.windows.net',
  },
  container: {
    type: 'text',
    required: true,
    pattern: /^(?!.*--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/,
    example: '3 to 63 lower case letters, digits and single dashes',
    address: true,
    meaning: 'the container, which must be there',
  },
  accountKey: {
    type: 'text',
    secret: true,
    pattern: /^[A-Za-z0-9+/]{40,120}={0,2}$/,
    example: 'a key of the account in base64',
    meaning: 'key of the account',
  },
  sasToken: {
    type: 'text',
    secret: true,
    bytesMax: 4_096,
    pattern: /^\??(?=.*\bsig=)[\w.~%&=:/+-]+$/,
    example: 'sv=…&sig=…',
    meaning: 'shared access signature with the rights to read, create, write and list, instead of the key',
  },
  ...objectFields,
} as const satisfies Record<string, EndpointField>

export type AzureBlobSettings = SettingsOf<typeof azureBlobFields>

export function checkAzureBlob(settings: Readonly<Record<string, unknown>>): readonly FieldFault[] {
  const { accountKey, sasToken } = settings
  const message = 'either accountKey or sasToken is expected, and not both'
  const isOne = (accountKey === undefined) !== (sasToken === undefined)
  return [...checkObjectNames(settings), ...(isOne ? [] : [{ field: 'accountKey', message }])]
}
