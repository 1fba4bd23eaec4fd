/**
 * `verit/client`: signed requests to a Verit server from programs, and answers that are known to be its own.
 * docs/reference/request-signing.md.
 */
import '../lib/require-node.ts'

export { VeritError } from '../lib/errors.ts'
export { newKeyPair, readKeyFile, writeKeyFile } from './key-file.ts'
export type { KeyFile } from './key-file.ts'
export { veritFetch } from './verit-fetch.ts'
export type { VeritFetchOptions } from './verit-fetch.ts'
