/**
 * `manifest.json` of a dataset: inputs, options, counts and outputs, with the SHA-256 of every file. It holds no time,
 * absolute path or machine, so the same inputs and options give the same bytes. Its own SHA-256 names the dataset.
 */
import { VeritError } from '../lib/errors.ts'
import type { DataFormat } from './document-splitter.ts'
import type { ShardRecord } from './shards.ts'
import type { SplitName, SplitRule } from './split.ts'

export const MANIFEST_FORMAT = 'verit-dataset'
export const MANIFEST_VERSION = 1

export interface SplitRecord {
  documents: number
  /**
   * UTF-8 bytes and Unicode characters of the text, without end-of-text tokens: the divisors of bits per byte and per
   * character.
   */
  bytes: number
  characters: number
  /** Tokens, end-of-text tokens included. */
  tokens: number
  shards: ShardRecord[]
}

export interface Manifest {
  format: typeof MANIFEST_FORMAT
  version: typeof MANIFEST_VERSION
  options: {
    cleaning: number
    format: DataFormat
    collapseWhitespace: boolean
    replaceInvalid: boolean
    minCharacters: number
    deduplicate: boolean
    split: { rule: SplitRule; validation: number; seed: number }
    shardTokens: number
    /** Records and markup were read as plain text. Absent: they were refused. */
    asText?: true
    /** The separator of documents where one was found or named: 'auto', 'none' or a text. */
    separator?: string
  }
  inputs: { name: string; bytes: number; sha256: string }[]
  /** Files in folders that have a wanted name and are not in the dataset, and why. Absent: none. */
  passedOver?: { name: string; reason: string }[]
  documents: { read: number; short: number; duplicates: number; kept: number }
  tokenizer: {
    file: 'tokenizer.json'
    bytes: number
    sha256: string
    kind: 'bpe' | 'character'
    vocabSize: number
    /** Id of the token after each document, or null when documents are joined by line feeds. */
    endOfText: number | null
    /** Where it came from: trained on this text, or given. */
    source: 'trained' | 'given'
  }
  splits: Record<SplitName, SplitRecord>
}

/** The text of manifest.json. */
export function manifestText(manifest: Manifest): string {
  return `${JSON.stringify(manifest, null, 2)}\n`
}

const isObject = (v: unknown): v is Record<string, unknown> => typeof v === 'object' && v !== null && !Array.isArray(v)
const isCount = (v: unknown): v is number => typeof v === 'number' && Number.isSafeInteger(v) && v >= 0
const isDigest = (v: unknown): v is string => typeof v === 'string' && /^sha256:[0-9a-f]{64}$/.test(v)

/**
 * Reads a manifest and checks everything that opening a dataset relies on: names that stay in the folder, counts that
 * add up, digests.
 * @param path name of the file in errors.
 */
export function parseManifest(text: string, path: string): Manifest {
  const need = (condition: boolean, problem: string): void => {
    if (!condition) throw new VeritError('VERIT_DATASET', { path, problem })
  }
  let root: unknown
  try {
    root = JSON.parse(text)
  } catch {
    root = undefined
  }
  if (!isObject(root) || root['format'] !== MANIFEST_FORMAT)
    throw new VeritError('VERIT_DATASET', { path, problem: 'it is not the manifest of a dataset' })
  need(
    root['version'] === MANIFEST_VERSION,
    `its version is ${JSON.stringify(root['version'])?.slice(0, 40)}, where this program reads ${MANIFEST_VERSION}`
  )
  need(
    isObject(root['options']) && Array.isArray(root['inputs']) && isObject(root['documents']),
    'it has no options, inputs or documents'
  )
  const t = root['tokenizer']
  if (
    !isObject(t) ||
    t['file'] !== 'tokenizer.json' ||
    !isCount(t['bytes']) ||
    !isDigest(t['sha256']) ||
    !isCount(t['vocabSize']) ||
    !(t['endOfText'] === null || (isCount(t['endOfText']) && t['endOfText'] < t['vocabSize']))
  ) {
    throw new VeritError('VERIT_DATASET', { path, problem: 'its tokenizer record is incomplete' })
  }
  const splits = root['splits']
  for (const name of ['train', 'validation'] as const) {
    const split = isObject(splits) ? splits[name] : undefined
    if (
      !isObject(split) ||
      !['documents', 'bytes', 'characters', 'tokens'].every(k => isCount(split[k])) ||
      !Array.isArray(split['shards'])
    ) {
      throw new VeritError('VERIT_DATASET', { path, problem: `its ${name} split is incomplete` })
    }
    let tokens = 0
    for (const [i, shard] of (split['shards'] as unknown[]).entries()) {
      const file = `${name}-${String(i).padStart(5, '0')}.tokens`
      if (
        !isObject(shard) ||
        shard['file'] !== file ||
        !isCount(shard['tokens']) ||
        !isCount(shard['bytes']) ||
        !isDigest(shard['sha256'])
      ) {
        throw new VeritError('VERIT_DATASET', { path, problem: `its record of ${file} is incomplete` })
      }
      tokens += shard['tokens']
    }
    need(
      tokens === split['tokens'],
      `the shards of its ${name} split hold ${tokens} tokens, not ${JSON.stringify(split['tokens'])}`
    )
  }
  return root as unknown as Manifest
}
