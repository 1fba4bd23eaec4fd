/** How a target of fuzzing makes its inputs: by mutating what our own code wrote. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Choices, mutateBytes, mutatePieces, piecesOf } from './fuzz-mutate.ts'

export interface Target {
  /** The input with a number: the same for the same seed and number. */
  input(seed: number, index: number): Buffer
  /** Throws a VeritError for what is refused. */
  run(input: Buffer): void
}

export const choices = (seed: number, index: number): Choices =>
  new Choices(Math.imul(seed, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b))

/** Writes a file by our own code and reads its bytes. */
export async function written(write: (path: string) => unknown): Promise<Buffer> {
  const dir = mkdtempSync(join(tmpdir(), 'verit-fuzz-'))
  try {
    await write(join(dir, 'seed'))
    return readFileSync(join(dir, 'seed'))
  } finally {
    rmSync(dir, { recursive: true })
  }
}

export function binary(seeds: readonly { bytes: Buffer; focus: number }[], run: (input: Buffer) => void): Target {
  return {
    run,
    input(seed, index) {
      const c = choices(seed, index)
      const { bytes, focus } = c.of(seeds)
      return mutateBytes(bytes, c.of(seeds).bytes, focus, c)
    }
  }
}

export function textual(seeds: readonly string[], words: readonly string[], run: (input: Buffer) => void): Target {
  const pieces = seeds.map(piecesOf)
  return {
    run,
    input(seed, index) {
      const c = choices(seed, index)
      return Buffer.from(mutatePieces(c.of(pieces), words, c))
    }
  }
}
