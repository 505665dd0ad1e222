/** Settings of file upload by devices; a part of the table in `settings.ts`. */
export const uploadSettings = {
  uploads: {
    env: 'PENSTOCK_UPLOADS',
    kind: 'text',
    default: undefined,
    meaning:
      'where files lie that devices upload: a folder, which must be there, or `s3://bucket/prefix` with a prefix that nobody else writes under. Edges of several machines need the same one. Unset, or where identities are not required: devices upload no files',
  },
  uploadsS3Endpoint: {
    env: 'PENSTOCK_UPLOADS_S3_ENDPOINT',
    kind: 'url',
    default: undefined,
    schemes: ['http', 'https'],
    meaning: "address of the S3 store of files; unset: that of the region's own",
  },
  uploadsS3Region: {
    env: 'PENSTOCK_UPLOADS_S3_REGION',
    kind: 'text',
    default: 'us-east-1',
    meaning: 'region of the bucket of files',
  },
  uploadsS3AccessKeyId: {
    env: 'PENSTOCK_UPLOADS_S3_ACCESS_KEY_ID',
    kind: 'text',
    default: undefined,
    meaning: 'id of the key with which edges read, write, list and delete in the bucket of files',
  },
  uploadsS3SecretAccessKey: {
    env: 'PENSTOCK_UPLOADS_S3_SECRET_ACCESS_KEY',
    kind: 'secret',
    default: undefined,
    meaning: 'the key itself',
  },
  uploadHost: {
    env: 'PENSTOCK_UPLOAD_HOST',
    kind: 'text',
    default: undefined,
    meaning:
      'host, or host:port, under which devices reach HTTPS for their files; unset: the first name of PENSTOCK_HOSTNAME with PENSTOCK_HTTPS_PORT. Set it where a proxy listens on another port. Clients of the hub always use https',
  },
  uploadMegabytesMax: {
    env: 'PENSTOCK_UPLOAD_MEGABYTES_MAX',
    kind: 'integer',
    default: 256,
    min: 1,
    max: 40_000,
    meaning: 'size of one file, in MiB',
  },
  uploadsMegabytesMax: {
    env: 'PENSTOCK_UPLOADS_MEGABYTES_MAX',
    kind: 'integer',
    default: 10_240,
    min: 1,
    max: 1_000_000_000,
    meaning:
      'size of all files together, in MiB, above which no more uploads begin. It is measured every minute; those under way go on',
  },
  uploadLifeSeconds: {
    env: 'PENSTOCK_UPLOAD_LIFE_SECONDS',
    kind: 'integer',
    default: 3_600,
    min: 60,
    max: 86_400,
    meaning: 'how long a device has for an upload: so long its token is good, and its blocks are kept',
  },
} as const
