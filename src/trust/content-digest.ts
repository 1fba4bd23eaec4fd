/**
 * Content-Digest (RFC 9530): the digest of a body as sent. sha-256 and sha-512 only: the others of the registry are
 * broken or mere checksums and are never trusted, though they may stand beside a trusted one.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { refuseSignature } from './http-message.ts'
import { strictDictionary } from './structured-field.ts'

export const digestAlgorithms = ['sha-256', 'sha-512'] as const
export type DigestAlgorithm = (typeof digestAlgorithms)[number]

const hashes: Readonly<Record<DigestAlgorithm, { name: string; bytes: number }>> = {
  'sha-256': { name: 'sha256', bytes: 32 },
  'sha-512': { name: 'sha512', bytes: 64 }
}
/** Longest value that is looked at. */
const LIMIT = 1024

/** The field value for a finished digest. */
export function digestField(digest: Uint8Array, algorithm: DigestAlgorithm = 'sha-256'): string {
  return `${algorithm}=:${Buffer.from(digest).toString('base64')}:`
}

/** The field value for a body: `sha-256=:...:`. */
export function contentDigest(body: Uint8Array, algorithm: DigestAlgorithm = 'sha-256'): string {
  return digestField(createHash(hashes[algorithm].name).update(body).digest(), algorithm)
}

/**
 * The trusted digests of a field value; at least one.
 * @throws VeritError VERIT_SIGNATURE for a value that is malformed, not canonical (RFC 9651), or without a trusted
 *   algorithm
 */
export function parseContentDigest(value: string): Map<DigestAlgorithm, Buffer> {
  const digests = new Map<DigestAlgorithm, Buffer>()
  for (const [name, [bare, parameters]] of strictDictionary('content-digest', value, LIMIT)) {
    if (!(bare instanceof ArrayBuffer)) refuseSignature('a member of content-digest is not a byte sequence')
    const algorithm = digestAlgorithms.find(a => a === name)
    if (algorithm === undefined) continue
    if (parameters.size > 0) refuseSignature(`${algorithm} in content-digest has parameters`)
    if (bare.byteLength !== hashes[algorithm].bytes)
      refuseSignature(`${algorithm} in content-digest has ${bare.byteLength} bytes`)
    digests.set(algorithm, Buffer.from(bare))
  }
  if (digests.size === 0) refuseSignature('content-digest has neither sha-256 nor sha-512')
  return digests
}

/**
 * @throws VeritError VERIT_SIGNATURE unless every trusted digest in the value, and there is one, is that of the body
 */
export function checkContentDigest(value: string, body: Uint8Array): void {
  for (const [algorithm, digest] of parseContentDigest(value)) {
    compare(algorithm, createHash(hashes[algorithm].name).update(body).digest(), digest)
  }
}

/** Bytes that are hashed at a time: about a millisecond. */
const SLICE = 1 << 20

/**
 * The same for a body of any length, with a pause between slices of 1 MiB.
 * @param pause resolves when the next slice may be hashed
 */
export async function checkContentDigestInSlices(
  value: string,
  body: Uint8Array,
  pause: () => Promise<void>
): Promise<void> {
  for (const [algorithm, digest] of parseContentDigest(value)) {
    const hash = createHash(hashes[algorithm].name)
    for (let from = 0; from < body.length; from += SLICE) {
      if (from > 0) await pause()
      hash.update(body.subarray(from, from + SLICE))
    }
    compare(algorithm, hash.digest(), digest)
  }
}

function compare(algorithm: DigestAlgorithm, actual: Buffer, digest: Buffer): void {
  if (timingSafeEqual(actual, digest)) return
  refuseSignature(`the body does not have the ${algorithm} that content-digest says`)
}
