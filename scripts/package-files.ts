/**
 * Writes dist/files.json before packing: every file that package.json's `files` names, with its SHA-256, for `verit
 * doctor`. It has to be the last step that writes into the package: `node scripts/package-files.ts [FOLDER]`. Prints
 * the digest of the list, which belongs into the notes of the release.
 */
import { existsSync, globSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { MANIFEST, filesBelow, packageManifest } from '../src/doctor/package-files.ts'
import { digestBytes } from '../src/trust/digest.ts'

/** What npm packs of a folder: the entries of `files`, and package.json. */
export function packedFiles(root: string): string[] {
  const { files } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { files: string[] }
  const found = files.flatMap(entry => {
    const each = entry.includes('*') ? globSync(entry, { cwd: root }) : existsSync(join(root, entry)) ? [entry] : []
    return each.flatMap(path => (statSync(join(root, path)).isDirectory() ? filesBelow(root, path) : [path]))
  })
  return [...new Set(['package.json', ...found])].toSorted()
}

/** Writes the list, and gives its digest. */
export async function writePackageFiles(root: string): Promise<string> {
  const text = await packageManifest(root, packedFiles(root))
  writeFileSync(join(root, MANIFEST), text)
  return digestBytes(text)
}

if (import.meta.main)
  process.stdout.write(`${await writePackageFiles(process.argv[2] ?? fileURLToPath(new URL('..', import.meta.url)))}\n`)
