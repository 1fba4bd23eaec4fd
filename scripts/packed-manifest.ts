/**
 * The package.json that is packed. That of the checkout also says how Verit is developed: its packages, workspaces and
 * scripts. npm would install and run those, or warn of them. While `npm pack` runs, the packed one stands in its place
 * (scripts/prepack.ts, scripts/postpack.ts).
 */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { SECURITY_CONTACT } from '../src/lib/security-contact.ts'

export interface Manifest {
  [field: string]: unknown
  version: string
  files: string[]
}

const OF_THE_CHECKOUT = ['dependencies', 'devDependencies', 'workspaces', 'scripts']
const KEPT = 'build/package.json.checkout'

/**
 * @param kernels platforms whose kernels are packages of their own, such as `linux-x64`; undefined: the package has its
 * own in prebuilds/
 */
export function packedManifest(own: Manifest, kernels?: readonly string[], contact = SECURITY_CONTACT): Manifest {
  const fields = Object.entries(own).filter(([field]) => !OF_THE_CHECKOUT.includes(field))
  const packed = Object.fromEntries(fields) as Manifest
  if (contact !== '')
    packed['bugs'] = contact.startsWith('mailto:') ? { email: contact.slice('mailto:'.length) } : { url: contact }
  packed.files = own.files.filter(entry => !entry.startsWith('prebuilds'))
  if (kernels === undefined) {
    // by name: an earlier build may have left kernels of other platforms there
    packed.files.push(`prebuilds/${process.platform}-${process.arch}/verit.node`)
    return packed
  }
  packed['optionalDependencies'] = Object.fromEntries(
    kernels.toSorted().map(platform => [`@verit/kernels-${platform}`, own.version])
  )
  return packed
}

export const readManifest = (root: string): Manifest =>
  JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest

/** Puts the packed manifest in the place of the checkout's, which is kept. */
export function swapManifest(root: string, kernels?: readonly string[]): void {
  const path = join(root, 'package.json')
  const kept = join(root, KEPT)
  mkdirSync(dirname(kept), { recursive: true })
  writeFileSync(kept, readFileSync(path))
  writeFileSync(`${path}.new`, `${JSON.stringify(packedManifest(readManifest(root), kernels), null, 2)}\n`)
  renameSync(`${path}.new`, path)
}

/** Puts the checkout's manifest back, also after an interrupted pack. Nothing to do where it is in place. */
export function restoreManifest(root: string): void {
  const kept = join(root, KEPT)
  if (existsSync(kept)) renameSync(kept, join(root, 'package.json'))
}
