/**
 * The files of a model: one file, or all those in a folder and its folders, in the order of their names (OpenSSF Model
 * Signing 1.0, section 6.1). Links, pipes and devices are refused, names that are not UTF-8 too, and files that others
 * may change. Each file is hashed through one open descriptor.
 */
import { createHash } from 'node:crypto'
import { lstatSync, readdirSync } from 'node:fs'
import type { Stats } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { VeritError } from '../lib/errors.ts'
import { fileError } from '../lib/file-error.ts'
import { printable } from '../lib/printable.ts'
import { openRegular } from '../lib/regular-file.ts'
import { openTrusted } from '../lib/trusted-file.ts'
import { utf8FirstInvalid } from '../lib/utf8.ts'
import { digestDescriptor } from './digest.ts'
import { DEFAULT_IGNORED, MAX_FILES, byCodePoints } from './oms-statement.ts'

const MAX_DEPTH = 32
const CHUNK = 1 << 20

export interface ModelFile {
  /** Relative to the model, with `/`. */
  readonly path: string
  /** Where it is. */
  readonly at: string
  readonly bytes: number
}

export interface ModelFiles {
  /** Last part of the model's path. */
  readonly name: string
  readonly single: boolean
  /** By code points of their paths. */
  readonly files: readonly ModelFile[]
}

/**
 * Finds the files. `ignored`: paths in the model, each with all below it; `except`: files (bundles) to leave out,
 * wherever they are.
 * @throws VeritError VERIT_MODEL_FILES, VERIT_FILE_NOT_FOUND, VERIT_FILE_IO
 */
export function findModelFiles(
  model: string,
  ignored: readonly string[] = [],
  except: readonly string[] = []
): ModelFiles {
  const root = resolve(model)
  const name = basename(root)
  if (!statOf(model).isDirectory()) {
    const file = openRegular(model, 'the model')
    file.close()
    return { name, single: true, files: [{ path: name, at: model, bytes: file.size }] }
  }
  const left = new Set([...DEFAULT_IGNORED, ...ignored])
  const leftFiles = new Set(except.map(e => resolve(e)))
  const files: ModelFile[] = []
  const walk = (folder: string, prefix: string, depth: number): void => {
    if (depth > MAX_DEPTH)
      throw unfit(
        folder,
        `it is nested more than ${MAX_DEPTH} folders deep`,
        'Sign and check the folder of the model itself'
      )
    for (const raw of namesIn(folder)) {
      if (utf8FirstInvalid(raw) >= 0)
        throw unfit(
          folder,
          `the name "${printable(raw.toString('latin1'), 200)}" in it is not UTF-8`,
          'Rename that file'
        )
      const entry = raw.toString('utf8')
      const [path, at] = [prefix + entry, join(folder, entry)]
      if (left.has(path) || leftFiles.has(at)) continue
      const s = statOf(at)
      if (s.isDirectory()) walk(at, `${path}/`, depth + 1)
      else if (!s.isFile())
        throw unfit(
          printable(at),
          s.isSymbolicLink() ? 'it is a symbolic link' : 'it is not a regular file',
          'Put the file itself there, or take it away'
        )
      else if (files.push({ path, at, bytes: s.size }) > MAX_FILES)
        throw unfit(
          model,
          `it has more than ${MAX_FILES.toLocaleString('en-US')} files`,
          'Sign the folder of the model itself'
        )
    }
  }
  walk(root, '', 1)
  return { name, single: false, files: files.sort((a, b) => byCodePoints(a.path, b.path)) }
}

/**
 * SHA-256 of a whole file or, with `shardSize`, of each range of that many bytes; each 64 hexadecimal digits. An empty
 * file has one digest whole, none in ranges.
 * @param follow whether a link is followed: for a model that is one file, whose name is the link's
 * @throws VeritError VERIT_OTHERS_WRITE, VERIT_FILE_IO and those of opening
 */
export async function hashModelFile(
  file: ModelFile,
  shardSize: number | undefined,
  follow: boolean,
  onBytes: (done: number) => void = () => undefined
): Promise<string[]> {
  const open = openTrusted(file.at, { kind: 'decides', purpose: 'a file of the model', follow })
  try {
    if (shardSize === undefined)
      return [(await digestDescriptor(open.fd, file.at, { onProgress: onBytes })).slice('sha256:'.length)]
    const digests: string[] = []
    const buffer = Buffer.allocUnsafe(Math.min(CHUNK, shardSize))
    for (let start = 0; start < open.size; start += shardSize) {
      const hash = createHash('sha256')
      const end = Math.min(start + shardSize, open.size)
      for (let at = start; at < end;) {
        const piece = buffer.subarray(0, Math.min(buffer.length, end - at))
        open.read(at, piece)
        hash.update(piece)
        at += piece.length
        onBytes(at)
        await new Promise(setImmediate)
      }
      digests.push(hash.digest('hex'))
    }
    open.checkUnchanged()
    return digests
  } finally {
    open.close()
  }
}

function statOf(path: string): Stats {
  try {
    return lstatSync(path)
  } catch (e) {
    throw fileError(e, path, 'read', 'the model')
  }
}

function namesIn(folder: string): Buffer[] {
  try {
    return readdirSync(folder, { encoding: 'buffer' })
  } catch (e) {
    throw fileError(e, folder, 'read', 'the model')
  }
}

const unfit = (path: string, problem: string, fix: string): VeritError =>
  new VeritError('VERIT_MODEL_FILES', { path, problem, fix })
