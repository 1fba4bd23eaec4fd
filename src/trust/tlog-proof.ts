/**
 * Proofs in a file, to be checked without the log. That an entry is in it: C2SP tlog-proof, with the entry itself as
 * the `extra` data. That one tree begins with another: our own form after its pattern, `verit/consistency-proof@v1`,
 * `old SIZE ROOT`, the hashes, an empty line and the newer checkpoint.
 */
import { VeritError } from '../lib/errors.ts'
import { strictBase64 } from '../lib/strict-base64.ts'
import { strictInteger } from './checkpoint.ts'
import { HASH_BYTES } from './merkle.ts'

const INCLUSION = 'c2sp.org/tlog-proof@v1'
const CONSISTENCY = 'verit/consistency-proof@v1'
/** Levels of a tree of 2^53 leaves, and one more hash of a consistency proof. */
const HASHES = 64

export interface InclusionFile {
  readonly kind: 'inclusion'
  readonly index: number
  /** The entry: it must hash to the leaf. Others may leave it out. */
  readonly extra: Buffer | undefined
  readonly proof: readonly Uint8Array[]
  /** Signed note. */
  readonly checkpoint: string
}

export interface ConsistencyFile {
  readonly kind: 'consistency'
  readonly oldSize: number
  readonly oldRoot: Buffer
  readonly proof: readonly Uint8Array[]
  /** Signed note of the newer tree. */
  readonly checkpoint: string
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')

export function formatProof(file: InclusionFile | ConsistencyFile): string {
  const head =
    file.kind === 'inclusion'
      ? [INCLUSION, ...(file.extra === undefined ? [] : [`extra ${base64(file.extra)}`]), `index ${file.index}`]
      : [CONSISTENCY, `old ${file.oldSize} ${base64(file.oldRoot)}`]
  return `${[...head, ...file.proof.map(base64), ''].join('\n')}\n${file.checkpoint}`
}

/** Reads a proof of either kind, checking its form only. @throws VeritError VERIT_NOTE naming `source` */
export function parseProof(text: string, source: string): InclusionFile | ConsistencyFile {
  const refuse = (problem: string): VeritError => new VeritError('VERIT_NOTE', { source, problem })
  const split = text.indexOf('\n\n')
  if (split < 0) throw refuse('it has no empty line before a checkpoint')
  const lines = text.slice(0, split).split('\n')
  const checkpoint = text.slice(split + 2)
  const first = lines.shift()
  const hashes = (from: string[]): Buffer[] => {
    if (from.length > HASHES) throw refuse(`it has more than ${HASHES} hashes`)
    return from.map(line => {
      const bytes = strictBase64(line)
      if (bytes?.length !== HASH_BYTES) throw refuse('a line of it is not the base64 of a SHA-256 hash')
      return bytes
    })
  }
  if (first === INCLUSION) {
    const extra = lines[0]?.startsWith('extra ') === true ? (strictBase64(lines.shift()!.slice(6)) ?? null) : undefined
    if (extra === null) throw refuse('its extra data is not base64')
    const index = strictInteger(/^index (.*)$/.exec(lines.shift() ?? '')?.[1] ?? '')
    if (index === undefined) throw refuse('it has no index')
    return { kind: 'inclusion', index, extra, proof: hashes(lines), checkpoint }
  }
  if (first !== CONSISTENCY) throw refuse(`it begins neither with ${INCLUSION} nor with ${CONSISTENCY}`)
  const old = /^old ([0-9]+) (\S+)$/.exec(lines.shift() ?? '')
  const oldSize = strictInteger(old?.[1] ?? '')
  const oldRoot = strictBase64(old?.[2] ?? '')
  if (oldSize === undefined || oldRoot?.length !== HASH_BYTES) throw refuse('its second line is not `old SIZE ROOT`')
  return { kind: 'consistency', oldSize, oldRoot, proof: hashes(lines), checkpoint }
}
