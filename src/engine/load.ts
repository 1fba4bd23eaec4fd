/** Opens a model file as an engine: one descriptor is hashed, checked and read. */
import type { FileHandle } from 'node:fs/promises'
import { VeritError } from '../lib/errors.ts'
import { byteProgress } from '../lib/progress-report.ts'
import type { ProgressTarget } from '../lib/progress-report.ts'
import { RegularFile, openRegular } from '../lib/regular-file.ts'
import { checkPulled, digestDescriptor } from '../trust/digest.ts'
import type { Digest } from '../trust/digest.ts'
import type { Engine } from './engine.ts'
import { engines } from './engines.ts'
import { checkLoadOptions } from './load-options.ts'
import type { LoadOptions } from './load-options.ts'

export type { LoadOptions } from './load-options.ts'

/**
 * Loads a model for generation.
 * @param source path of a GGUF file, or an open one, which the caller closes
 * @throws VeritError VERIT_FILE_NOT_FOUND, VERIT_GGUF, VERIT_MODEL_FILE, VERIT_TENSOR, VERIT_TOKENIZER_FILE,
 *   VERIT_REQUEST for an option out of range, VERIT_CHAT for a `chatTemplate` that fails, VERIT_USAGE for what this
 *   machine or this model does not allow
 */
export async function loadModel(source: string | FileHandle | RegularFile, options: LoadOptions = {}): Promise<Engine> {
  const { engine = 'verit' } = options
  if (!Object.hasOwn(engines, engine)) {
    throw new VeritError('VERIT_REQUEST', {
      field: 'engine',
      problem: `must be one of ${Object.keys(engines).join(', ')}`
    })
  }
  checkLoadOptions(options)
  const { expectedDigest, digest: known, progress } = options
  const file = open(source)
  const takeDigest = async (): Promise<Digest> => {
    const digest = known ?? (await hashed(file, progress))
    if (expectedDigest !== undefined) checkPulled(file.name, digest, expectedDigest)
    return digest
  }
  try {
    return await engines[engine](file, options, takeDigest)
  } finally {
    if (file !== source) file.close()
  }
}

async function hashed(file: RegularFile, target: ProgressTarget | undefined): Promise<Digest> {
  const hashing = byteProgress('hash', file.size, target)
  try {
    return await digestDescriptor(file.fd, file.name, { onProgress: done => hashing.update(done) })
  } finally {
    hashing.clear()
  }
}

function open(source: string | FileHandle | RegularFile): RegularFile {
  if (source instanceof RegularFile) return source
  if (typeof source === 'string') return openRegular(source, 'the model')
  return new RegularFile(source.fd, 'the open file', false)
}
