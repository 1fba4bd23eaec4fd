/**
 * Location of the native kernels: in the package, if they were built or packed for one machine, or in the platform's
 * package (@verit/kernels-linux-x64 and others), which npm installs with a release. This file only names them;
 * native.ts loads them.
 */
import { hash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { installed, packageRoot, runsFromSource } from '../lib/package-root.ts'
import { VERSION } from '../lib/version.ts'
import { KERNEL_DIGESTS } from './kernel-digests.ts'

export const PLATFORM = `${process.platform}-${process.arch}`
const FILE = 'verit.node'

/** Files that hold kernels for this platform, the preferred one first. */
export function kernelFiles(): string[] {
  const root = packageRoot()
  const own =
    root === undefined
      ? []
      : ['build', 'prebuilds'].map(folder => join(root, folder, PLATFORM, FILE)).filter(existsSync)
  const released = releasedFile()
  return released === undefined ? own : [...own, released]
}

/**
 * The file in the platform's package, whose publisher is not trusted: only the file whose digest came with this release
 * is loaded.
 */
function releasedFile(): string | undefined {
  const digest = KERNEL_DIGESTS[PLATFORM]
  if (digest === undefined) return undefined
  const folder = installed(`@verit/kernels-${PLATFORM}`)
  const file = folder === undefined ? undefined : join(folder, FILE)
  if (file === undefined || !existsSync(file)) return undefined
  return hash('sha256', readFileSync(file)) === digest ? file : undefined
}

interface Surroundings {
  readonly root: string | undefined
  readonly source: boolean
  readonly digests: Readonly<Record<string, string>>
  readonly musl: boolean
}

/**
 * Whether this Node is linked with musl, as on Alpine Linux: the platform packages are for glibc, and npm refuses them.
 */
function usesMusl(): boolean {
  if (process.platform !== 'linux') return false
  const report = process.report as typeof process.report & { excludeNetwork: boolean }
  const before = report.excludeNetwork
  report.excludeNetwork = true // the report would look up the host names of open connections
  const { header } = report.getReport() as { header?: { glibcVersionRuntime?: string } }
  report.excludeNetwork = before
  return header !== undefined && header.glibcVersionRuntime === undefined
}

const here = (): Surroundings => ({
  root: packageRoot(),
  source: runsFromSource,
  digests: KERNEL_DIGESTS,
  musl: usesMusl()
})

/** How to get kernels here: a clause in the imperative, for after "To fix this, ". @param where for tests */
export function howToGetKernels(where: Surroundings = here()): string {
  const { root, source, digests, musl } = where
  if (source) return 'run `npm run native`, which builds them'
  const compile =
    root === undefined
      ? undefined
      : `with a C compiler installed, run \`node "${join(root, 'scripts', 'build-native.mjs')}"\``
  if (digests[PLATFORM] === undefined || musl)
    return compile ?? 'install verit, with kernels for this platform, where the bundle runs'
  const install = `run \`npm install @verit/kernels-${PLATFORM}@${VERSION}\``
  return compile === undefined ? `${install} where the bundle runs` : `${install}; or, ${compile}`
}
