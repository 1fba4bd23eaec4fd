/**
 * Whether the installed package is unchanged: dist/files.json, which `scripts/package-files.ts` writes before packing,
 * lists every shipped file with its SHA-256, native code included. It detects damage and careless changes. Whoever can
 * change the files can change the list and this check too, so the digest of the list is shown, to be compared with the
 * release's.
 */
import { existsSync, lstatSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Type } from 'typebox'
import { Value } from 'typebox/value'
import { VeritError } from '../lib/errors.ts'
import { digestBytes, digestFile } from '../trust/digest.ts'
import { pathProblem } from '../trust/oms-statement.ts'
import { note, ok, problem, warning } from './finding.ts'
import type { Finding } from './finding.ts'

export const MANIFEST = 'dist/files.json'
const MOST_BYTES = 4 << 20
const SHOWN = 5
const Manifest = Type.Object(
  { version: Type.Literal(1), files: Type.Record(Type.String(), Type.String({ pattern: '^sha256:[0-9a-f]{64}$' })) },
  { additionalProperties: false }
)

/**
 * All files below a folder, links and others too, relative with `/`, in the order of their names; but for the list
 * itself and the package's own dependencies: a node_modules further down would come before those.
 */
export function filesBelow(root: string, folder = ''): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true })
    .flatMap(entry => {
      const path = folder === '' ? entry.name : `${folder}/${entry.name}`
      if (entry.isDirectory()) return path === 'node_modules' ? [] : filesBelow(root, path)
      return path === MANIFEST ? [] : [path]
    })
    .toSorted()
}

/** The text of the list for these files of a package. */
export async function packageManifest(root: string, files: readonly string[]): Promise<string> {
  const lines: string[] = []
  for (const path of files.toSorted())
    lines.push(`    ${JSON.stringify(path)}: ${JSON.stringify(await digestFile(join(root, path)))}`)
  return `{\n  "version": 1,\n  "files": {\n${lines.join(',\n')}\n  }\n}\n`
}

export const packageRoot = (): string => fileURLToPath(new URL('../..', import.meta.url))

/** @param checkout whether Verit runs from sources; there is no list then */
export async function checkPackage(
  root = packageRoot(),
  checkout = import.meta.url.endsWith('.ts')
): Promise<Finding[]> {
  const again = 'Install Verit again from a source that you trust, with `npm ci`'
  if (checkout)
    return [
      note('package.files', 'This is a checkout, not an installed package: its files are not compared with a list')
    ]
  if (!existsSync(join(root, MANIFEST))) {
    const unknown = `There is no list of the package's files (${MANIFEST}), so they cannot be compared with the release`
    return [
      root.includes('node_modules')
        ? warning('package.files', unknown, again)
        : note(
            'package.files',
            unknown,
            'Compare the digest of the container image, or of what this copy was made from'
          )
    ]
  }
  const list = readManifest(join(root, MANIFEST))
  if (list === undefined)
    return [problem('package.files', `The list of the package's files (${MANIFEST}) cannot be read`, again)]
  const changed: string[] = []
  const missing: string[] = []
  for (const [path, digest] of Object.entries(list.files)) {
    const entry = lstatSync(join(root, path), { throwIfNoEntry: false })
    if (entry === undefined) missing.push(path)
    else if (!entry.isFile() || (await digestOf(join(root, path))) !== digest) changed.push(path)
  }
  const more = filesBelow(root).filter(path => !Object.hasOwn(list.files, path))
  const complete = changed.length + missing.length + more.length === 0
  return [
    ...(changed.length === 0 ? [] : [problem('package.changed', `${some(changed)} not as packed`, again)]),
    ...(missing.length === 0 ? [] : [problem('package.missing', `${some(missing)} missing from the package`, again)]),
    ...(more.length === 0
      ? []
      : [
          warning(
            'package.additional',
            `${some(more)} in the package's folder, and did not come with it`,
            'If nobody built them on purpose, install Verit again'
          )
        ]),
    (complete ? ok : note)(
      'package.files',
      (complete
        ? `All ${Object.keys(list.files).length} files are as they were packed`
        : 'The list of files was compared') +
        `; the list (${MANIFEST}) is ${list.digest}: compare that with the release's`
    )
  ]
}

const some = (paths: readonly string[]): string =>
  `${paths.slice(0, SHOWN).join(', ')}${paths.length > SHOWN ? ` and ${paths.length - SHOWN} more` : ''} ` +
  `${paths.length === 1 ? 'is' : 'are'}`

async function digestOf(path: string): Promise<string | undefined> {
  try {
    return await digestFile(path)
  } catch (e) {
    if (!VeritError.is(e)) throw e
    return undefined
  }
}

function readManifest(path: string): { files: Record<string, string>; digest: string } | undefined {
  const entry = lstatSync(path, { throwIfNoEntry: false })
  if (entry?.isFile() !== true || entry.size > MOST_BYTES) return undefined
  const bytes = readFileSync(path)
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8'))
    return Value.Check(Manifest, value) && Object.keys(value.files).every(p => pathProblem(p) === undefined)
      ? { files: value.files, digest: digestBytes(bytes) }
      : undefined
  } catch (e) {
    if (e instanceof SyntaxError) return undefined
    throw e
  }
}
