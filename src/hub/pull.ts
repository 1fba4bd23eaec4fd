/**
 * `verit pull`: download into quarantine, compare digests (asked for, pinned, announced), admit, fetch the signature,
 * and only then store and name; the pin is written last. A source that is pinned is fetched at the commit of its pin
 * and must be the same file.
 */
import { resolve } from 'node:path'
import { VeritError } from '../lib/errors.ts'
import { openTrusted } from '../lib/trusted-file.ts'
import type { Digest } from '../trust/digest.ts'
import { MAX_BUNDLE_BYTES } from '../trust/oms-bundle.ts'
import type { TrustPolicy } from '../trust/trust-policy.ts'
import { admit, digestOf } from './admit.ts'
import { download } from './download.ts'
import type { DownloadOptions, Downloaded } from './download.ts'
import { readLock, writeLock } from './lock-file.ts'
import type { Pin } from './lock-file.ts'
import { DEFAULT_ENDPOINT, parseEndpoint, parseSource } from './model-source.ts'
import type { ModelSource } from './model-source.ts'
import { ModelStore, isModelName } from './model-store.ts'
import type { StoredModel } from './model-store.ts'
import { Partial } from './partial.ts'
import { findSignature, judgePulled } from './pulled-trust.ts'
import type { FoundSignature, PulledTrust } from './pulled-trust.ts'

export interface PullOptions extends DownloadOptions {
  /** Folder of the store. */
  readonly models: string
  /** Path of the lock file. Default verit.lock in the current folder. */
  readonly lock?: string
  /** Default: the file's name without its ending. */
  readonly name?: string | undefined
  /** Digest expected by the user. */
  readonly digest?: Digest | undefined
  /** Downloads the current content of the source, and pins it. */
  readonly update?: boolean
  /** Origin of the hub. Default https://huggingface.co. */
  readonly endpoint?: string
  /** The user's trust policy. Undefined: a signature is stored, and not judged. */
  readonly policy?: TrustPolicy
  /** Milliseconds for fetching one signature. Default 60,000. */
  readonly signatureMs?: number
  /** Called while digests are computed. */
  readonly onHash?: (done: number, total: number) => void
}

export interface Pulled {
  readonly model: StoredModel
  /** Path of the file in the store. */
  readonly path: string
  /** Whether bytes were fetched; false: the store had the file. */
  readonly fetched: boolean
  /** Whether the lock file has a new or another pin now. */
  readonly pinned: boolean
  /** Trust by the policy; undefined without one. */
  readonly trust: PulledTrust | undefined
  /** Why a signature could not be had. */
  readonly signatureProblem: string | undefined
}

/**
 * @throws VeritError VERIT_MODEL_SIGNATURE, VERIT_MODEL_CHANGED (an invalid signature of a trusted signer),
 *   VERIT_PULL_*, VERIT_LOCK_FILE, VERIT_MODEL_*, VERIT_GGUF, VERIT_SAFETENSORS, VERIT_STATE, VERIT_FILE_*
 */
export async function pull(text: string, options: PullOptions): Promise<Pulled> {
  const source = parseSource(text, parseEndpoint(options.endpoint ?? DEFAULT_ENDPOINT))
  const lock = resolve(options.lock ?? 'verit.lock')
  const name = nameFor(source, options.name)
  const pinned = readLock(lock).get(source.id)
  const expected = options.update === true ? undefined : pinned
  if (expected !== undefined && options.digest !== undefined && options.digest !== expected.digest) {
    throw new VeritError('VERIT_PULL_PINNED', {
      source: source.id,
      lock,
      pinned: expected.digest,
      asked: options.digest
    })
  }
  using store = new ModelStore(options.models)
  checkName(store, name, source)
  if (expected !== undefined && (await isWhole(store, expected.digest, options))) {
    const found =
      storedSignature(store, name, expected.digest) ??
      (await signatureOf(source, expected.revision, name, expected.digest, options))
    return finish(store, source, lock, name, expected, undefined, found, options)
  }

  using partial = new Partial(store.quarantine, source.url(expected?.revision).href)
  const got = await download(source, expected?.revision, partial, options)
  let digest: Digest
  try {
    digest = await check(source, partial, got, { lock, pinned: expected, asked: options.digest }, options)
  } catch (e) {
    partial.discard() // a file that was refused is not kept for another try
    throw e
  }
  const revision = got.revision ?? expected?.revision
  let found: FoundSignature
  try {
    found = await signatureOf(source, revision, name, digest, options)
  } catch (e) {
    if (options.signal?.aborted !== true) partial.discard()
    throw e
  }
  partial.settle() // before the store is held, for it may take long
  const done = finish(store, source, lock, name, { revision, size: got.size, digest }, partial, found, options)
  partial.discard()
  return done
}

async function check(
  source: ModelSource,
  partial: Partial,
  got: Downloaded,
  want: { lock: string; pinned: Pin | undefined; asked: Digest | undefined },
  options: PullOptions
): Promise<Digest> {
  const commit = want.pinned?.revision ?? (/^[0-9a-f]{40}$/.test(source.revision ?? '') ? source.revision : undefined)
  if (commit !== undefined && got.revision !== undefined && got.revision !== commit) {
    throw new VeritError('VERIT_PULL_ANSWER', {
      host: source.url().host,
      problem: `it answers for the commit ${got.revision}, not ${commit}`,
      hint: 'Use another mirror, or tell its operator'
    })
  }
  const digest = await digestOf(partial.fd, source.id, options.onHash)
  if (want.pinned !== undefined && want.pinned.digest !== digest) {
    throw new VeritError('VERIT_PULL_LOCK', {
      source: source.id,
      lock: want.lock,
      wanted: want.pinned.digest,
      got: digest
    })
  }
  if (want.asked !== undefined) checkDigest(source, want.asked, digest, '--sha256')
  if (got.announced !== undefined) checkDigest(source, `sha256:${got.announced}`, digest, 'the hub')
  admit(partial.fd, source.id)
  return digest
}

/**
 * Looks for a signature, by a trusted signer if there is one. @throws VeritError VERIT_MODEL_SIGNATURE,
 * VERIT_MODEL_CHANGED
 */
function signatureOf(
  source: ModelSource,
  revision: string | undefined,
  name: string,
  digest: Digest,
  options: PullOptions
): Promise<FoundSignature> {
  const { policy } = options
  return findSignature(
    source,
    revision,
    options,
    signed => policy === undefined || judgePulled(policy, name, digest, signed).by === 'signature'
  )
}

/** The stored signature, if the name already refers to this file; undefined: look for one. */
function storedSignature(store: ModelStore, name: string, digest: Digest): FoundSignature | undefined {
  const model = store.find(name)
  if (model === undefined || model.digest !== digest) return undefined
  if (model.signature === undefined) return { signed: undefined, problem: undefined }
  if (!store.has(model.signature.digest)) return undefined
  using file = openTrusted(store.path(model.signature.digest), { kind: 'decides', purpose: 'the stored signature' })
  if (file.size > MAX_BUNDLE_BYTES) return undefined
  const bundle = { bytes: file.readAll(), source: `the signature of ${name}` }
  return { signed: { bundle, signedAs: model.signature.signedAs }, problem: undefined }
}

/** Stores the download (if any), names it and pins it, while nobody else changes the store. */
function finish(
  store: ModelStore,
  source: ModelSource,
  lock: string,
  name: string,
  pin: Pin,
  partial: Partial | undefined,
  found: FoundSignature,
  options: PullOptions
): Pulled {
  const { signed, problem } = found
  const trust = options.policy === undefined ? undefined : judgePulled(options.policy, name, pin.digest, signed)
  return store.exclusively(() => {
    checkName(store, name, source)
    const pins = readLock(lock)
    const before = pins.get(source.id)
    if (before !== undefined && before.digest !== pin.digest && options.update !== true) {
      throw new VeritError('VERIT_PULL_LOCK', { source: source.id, lock, wanted: before.digest, got: pin.digest })
    }
    if (partial !== undefined) store.promote(partial.path, pin.digest)
    else if (!store.has(pin.digest))
      throw new VeritError('VERIT_MODEL_STORE', { path: store.path(pin.digest), problem: 'was removed meanwhile' })
    const signature =
      signed === undefined ? undefined : { digest: store.keep(signed.bundle.bytes), signedAs: signed.signedAs }
    const model = {
      name,
      digest: pin.digest,
      size: pin.size,
      source: source.id,
      revision: pin.revision,
      pulled: new Date().toISOString(),
      signature
    }
    store.name(model)
    store.noteLock(lock)
    const changed = before?.digest !== pin.digest || before.revision !== pin.revision
    if (changed) writeLock(lock, pins.set(source.id, pin))
    return {
      model,
      path: store.path(pin.digest),
      fetched: partial !== undefined,
      pinned: changed,
      trust,
      signatureProblem: problem
    }
  })
}

function nameFor(source: ModelSource, asked: string | undefined): string {
  const name = asked ?? source.file.replace(/\.(gguf|safetensors)$/i, '')
  if (isModelName(name)) return name
  throw new VeritError('VERIT_MODEL_NAME', {
    name: JSON.stringify(name),
    problem:
      'cannot be given: letters, digits, dots, dashes and underscores are allowed, at most 100, and no .gguf at ' +
      'the end',
    hint: 'Choose one with --name'
  })
}

/** A name keeps its source: another file of the same name must not replace a model that is served under it. */
function checkName(store: ModelStore, name: string, source: ModelSource): void {
  const other = store.find(name)
  if (other === undefined || other.source === source.id) return
  throw new VeritError('VERIT_MODEL_NAME', {
    name,
    problem: `belongs to ${other.source}`,
    hint: 'Choose another with --name, or give it up with `verit models remove`'
  })
}

function checkDigest(source: ModelSource, wanted: Digest, got: Digest, by: string): void {
  if (wanted !== got) throw new VeritError('VERIT_PULL_DIGEST', { source: source.id, wanted, got, by })
}

/** Whether the store has the file, and nobody changed it there. */
async function isWhole(store: ModelStore, digest: Digest, options: PullOptions): Promise<boolean> {
  if (!store.has(digest)) return false
  using file = openTrusted(store.path(digest), { kind: 'decides', purpose: 'the stored model' })
  return (await digestOf(file.fd, file.name, options.onHash)) === digest
}
