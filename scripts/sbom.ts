/**
 * Writes the bill of materials of the package (CycloneDX 1.6) from package-lock.json: `node scripts/sbom.ts [FILE]`, by
 * default dist/sbom.cdx.json. It names every package that runs with Verit, with the digest under which npm installs it,
 * and the models that come along. The same lock file gives the same bytes; SOURCE_DATE_EPOCH adds a time.
 */
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { hash } from 'node:crypto'
import { formatBom } from '../src/lib/cyclonedx.ts'
import type { Component } from '../src/lib/cyclonedx.ts'

const root = fileURLToPath(new URL('..', import.meta.url))

/** A package in a lock file of version 3, as far as it is of use here. */
export interface LockedPackage {
  name?: string
  version?: string
  license?: string
  integrity?: string
  resolved?: string
  link?: boolean
  hasInstallScript?: boolean
  dependencies?: Record<string, string>
  optionalDependencies?: Record<string, string>
  peerDependencies?: Record<string, string>
  peerDependenciesMeta?: Record<string, { optional?: boolean }>
}
export type Lock = Record<string, LockedPackage>

export const readLock = (path = join(root, 'package-lock.json')): Lock =>
  (JSON.parse(readFileSync(path, 'utf8')) as { packages: Lock }).packages

/** `@scope/name` of a place in node_modules. */
const nameAt = (place: string): string => place.slice(place.lastIndexOf('node_modules/') + 13)

/** Where Node finds `name` for the package at `from`: the nearest node_modules upwards. */
function resolve(lock: Lock, from: string, name: string): string | undefined {
  for (
    let at = from;
    ;
    at = at.includes('node_modules/') ? at.slice(0, at.lastIndexOf('node_modules/')).replace(/\/$/, '') : ''
  ) {
    const place = `${at === '' ? '' : `${at}/`}node_modules/${name}`
    if (lock[place] !== undefined) return place
    if (at === '') return undefined
  }
}

export interface Reached {
  /** Whether Verit runs without it. */
  optional: boolean
  dependsOn: string[]
}

/**
 * The packages that run with the root, by their places, in the order of their places. @throws Error where the lock file
 * lacks one
 */
export function productionPackages(lock: Lock): Map<string, Reached> {
  const reached = new Map<string, Reached>()
  const visit = (place: string, optional: boolean): void => {
    const before = reached.get(place)
    if (before !== undefined && (!before.optional || optional)) return
    const p = lock[place]!
    const { dependencies = {}, optionalDependencies = {}, peerDependencies = {}, peerDependenciesMeta = {} } = p
    const entry: Reached = { optional, dependsOn: [] }
    reached.set(place, entry)
    for (const name of new Set([
      ...Object.keys(dependencies),
      ...Object.keys(optionalDependencies),
      ...Object.keys(peerDependencies)
    ])) {
      const weak = name in optionalDependencies || peerDependenciesMeta[name]?.optional === true
      const target = resolve(lock, place, name)
      if (target === undefined && !weak)
        throw new Error(`package-lock.json lacks ${name}, which ${place === '' ? 'the package' : place} needs`)
      if (target === undefined) continue
      entry.dependsOn.push(target)
      visit(target, optional || weak)
    }
  }
  visit('', false)
  return new Map([...reached].sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** package-url: pkg:npm/%40scope/name@version */
export const purl = (name: string, version: string): string =>
  `pkg:npm/${name.split('/').map(encodeURIComponent).join('/')}@${encodeURIComponent(version)}`

const licences = (text: string | undefined): Pick<Component, 'licenses'> =>
  text === undefined ? {} : { licenses: [/[ ()]/.test(text) ? { expression: text } : { license: { id: text } }] }

function componentAt(lock: Lock, place: string, optional: boolean): Component {
  const p = lock[place]!
  const name = place === '' ? p.name! : nameAt(place)
  const version = p.version!
  const integrity = p.integrity?.split(' ').find(i => i.startsWith('sha512-'))
  return {
    type: place === '' ? 'application' : 'library',
    'bom-ref': purl(name, version),
    name,
    version,
    scope: optional ? 'optional' : 'required',
    ...(integrity !== undefined && {
      hashes: [{ alg: 'SHA-512', content: Buffer.from(integrity.slice(7), 'base64').toString('hex') }]
    }),
    ...licences(p.license),
    purl: purl(name, version)
  }
}

/** @param models name and bytes of each model file that is part of the package. @param seconds SOURCE_DATE_EPOCH */
export function sbom(lock: Lock, models: readonly { name: string; bytes: Uint8Array }[], seconds?: number): string {
  const reached = productionPackages(lock)
  const { scope: _, ...subject } = componentAt(lock, '', false)
  const refOf = (place: string): string => componentAt(lock, place, false)['bom-ref']
  const modelParts = models.map(({ name, bytes }): Component => {
    const sha256 = hash('sha256', bytes)
    return {
      type: 'machine-learning-model',
      'bom-ref': `sha256:${sha256}`,
      name,
      scope: 'optional',
      hashes: [{ alg: 'SHA-256', content: sha256 }],
      ...licences(lock['']!.license)
    }
  })
  // One version of a package may lie at several places: it is one component.
  const byRef = new Map<string, { component: Component; dependsOn: Set<string> }>()
  for (const [place, { optional, dependsOn }] of reached) {
    const component = componentAt(lock, place, optional)
    const entry = byRef.get(component['bom-ref']) ?? { component, dependsOn: new Set<string>() }
    if (!optional) entry.component = component
    dependsOn.forEach(d => entry.dependsOn.add(refOf(d)))
    byRef.set(component['bom-ref'], entry)
  }
  modelParts.forEach(m => byRef.get(subject['bom-ref'])!.dependsOn.add(m['bom-ref']))
  return formatBom({
    ...(seconds !== undefined && { timestamp: new Date(seconds * 1000).toISOString() }),
    subject,
    tool: { name: 'verit scripts/sbom.ts', version: subject.version! },
    components: [
      ...[...byRef.values()].map(e => e.component).filter(c => c['bom-ref'] !== subject['bom-ref']),
      ...modelParts
    ],
    dependencies: [
      ...[...byRef].map(([ref, { dependsOn }]) => ({ ref, dependsOn: [...dependsOn].sort() })),
      ...modelParts.map(m => ({ ref: m['bom-ref'], dependsOn: [] }))
    ]
  })
}

export function packageModels(): { name: string; bytes: Uint8Array }[] {
  const folder = join(root, 'models')
  return readdirSync(folder)
    .filter(f => f.endsWith('.gguf'))
    .sort()
    .map(name => ({ name, bytes: readFileSync(join(folder, name)) }))
}

if (import.meta.main) {
  const out = process.argv[2] ?? join(root, 'dist', 'sbom.cdx.json')
  const epoch = process.env['SOURCE_DATE_EPOCH']
  mkdirSync(dirname(out), { recursive: true })
  writeFileSync(out, sbom(readLock(), packageModels(), epoch === undefined ? undefined : Number(epoch)))
}
