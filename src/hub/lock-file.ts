/**
 * `verit.lock`: which file each source stands for, by its digest. Written at the first pull, required from then on;
 * meant for version control. JSON: `{"version": 1, "models": {"hf:OWNER/REPO@main/FILE": {"revision": "<commit>",
 * "size": 1, "sha256": "<64 hexadecimal digits>"}}}`.
 */
import { isUtf8 } from 'node:buffer'
import { statSync } from 'node:fs'
import { writeFileAtomic } from '../lib/atomic-file.ts'
import { VeritError } from '../lib/errors.ts'
import { fileError } from '../lib/file-error.ts'
import { byteOf, walkJson } from '../lib/json-walk.ts'
import { printable } from '../lib/printable.ts'
import { readTrusted } from '../lib/trusted-file.ts'
import { isDigest } from '../trust/digest.ts'
import type { Digest } from '../trust/digest.ts'

const MAX_BYTES = 1 << 20

export interface Pin {
  /** Commit of the repository, 40 hexadecimal digits; undefined for an address. */
  readonly revision: string | undefined
  readonly size: number
  readonly digest: Digest
}

/**
 * Pins by source. A file that is not there has none.
 * @throws VeritError VERIT_LOCK_FILE, VERIT_OTHERS_WRITE, VERIT_OTHERS_OWN, VERIT_FILE_IO, VERIT_FILE_KIND
 */
export function readLock(path: string): Map<string, Pin> {
  if (!isThere(path)) return new Map()
  const tooLong = (): VeritError =>
    new VeritError('VERIT_LOCK_FILE', { path, problem: `it has more than ${MAX_BYTES} bytes` })
  const bytes = readTrusted(path, { kind: 'decides', purpose: 'the lock file', limit: MAX_BYTES, tooLong })
  if (!isUtf8(bytes)) throw new VeritError('VERIT_LOCK_FILE', { path, problem: 'it is not UTF-8' })
  return parseLock(bytes.toString('utf8'), path)
}

/** One that cannot be looked for (no permission, a loop of links) is not one that has no pins. */
function isThere(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false }) !== undefined
  } catch (e) {
    throw fileError(e, path, 'read')
  }
}

/** @param path for errors @throws VeritError VERIT_LOCK_FILE */
export function parseLock(text: string, path: string): Map<string, Pin> {
  const fail = (problem: string): never => {
    throw new VeritError('VERIT_LOCK_FILE', { path, problem })
  }
  walkJson(text, { depth: 4 }, (problem, index) => fail(`at byte ${byteOf(text, index)}, ${problem}`))
  const root: unknown = JSON.parse(text)
  const { version, models, ...more } = object(root) ?? fail('it is not a JSON object')
  if (version !== 1) fail('its version is not 1')
  if (Object.keys(more).length > 0) fail(`it has the unknown field ${printable(Object.keys(more)[0]!, 80)}`)
  const entries = Object.entries(object(models) ?? fail('"models" is not an object'))
  return new Map(
    entries.map(([source, value]) => [
      source,
      pin(value, problem => fail(`the entry of ${printable(source, 200)} ${problem}`))
    ])
  )
}

const object = (value: unknown): Record<string, unknown> | undefined =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined

function pin(value: unknown, fail: (problem: string) => never): Pin {
  const { revision, size, sha256, ...more } = object(value) ?? fail('is not an object')
  const digest = `sha256:${String(sha256)}`
  if (typeof sha256 !== 'string' || !isDigest(digest)) return fail('has no sha256 of 64 lower-case hexadecimal digits')
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) return fail('has no size in bytes')
  if (revision !== undefined && (typeof revision !== 'string' || !/^[0-9a-f]{40}$/.test(revision)))
    return fail('has a revision that is no commit')
  if (Object.keys(more).length > 0) fail('has fields that are not known')
  return { revision, size, digest }
}

/** Writes all pins in the order of their sources, so that a change is one line in version control. */
export function writeLock(path: string, pins: ReadonlyMap<string, Pin>): void {
  const lines = [...pins]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(
      ([source, p]) =>
        `    ${JSON.stringify(source)}: ` +
        `${JSON.stringify({ revision: p.revision, size: p.size, sha256: p.digest.slice(7) })}`
    )
  writeFileAtomic(path, `{\n  "version": 1,\n  "models": {\n${lines.join(',\n')}\n  }\n}\n`)
}
