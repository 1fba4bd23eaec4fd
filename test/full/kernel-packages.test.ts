/**
 * The packages with prebuilt kernels: zig makes those of all platforms on this machine, they are files that such
 * machines load, and those of this machine load here. Takes about six minutes of one core.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { hash } from 'node:crypto'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { after, test } from 'node:test'
import { PLATFORMS, kernelManifest } from '../../scripts/kernel-packages.ts'

const root = resolve(import.meta.dirname, '../..')
const here = `${process.platform}-${process.arch}`
const skip = here !== 'linux-x64' && 'zig is fetched for linux-x64 alone'
const copy = mkdtempSync(join(tmpdir(), 'verit-kernel-packages-'))
after(() => rmSync(copy, { recursive: true, force: true }))

/** A checkout with nothing built in it. */
function fresh(name: string): string {
  const at = join(copy, name)
  for (const folder of ['tools', 'src/lib', 'src/trust']) mkdirSync(join(at, folder), { recursive: true })
  for (const part of ['native', 'scripts', 'src', 'models', 'package.json', 'package-lock.json', 'LICENSE'])
    cpSync(join(root, part), join(at, part), { recursive: true })
  symlinkSync(join(root, 'node_modules'), join(at, 'node_modules'))
  symlinkSync(join(root, 'tools/zig'), join(at, 'tools/zig'))
  return at
}

/** @param cache of zig: an empty one, so that everything is compiled */
const make = (at: string, out: string, cache: string, ...args: string[]) =>
  spawnSync(process.execPath, [join(at, 'scripts/kernel-packages.ts'), '--out', out, ...args], {
    cwd: at,
    encoding: 'utf8',
    env: {
      ...process.env,
      ZIG_GLOBAL_CACHE_DIR: join(copy, cache),
      ZIG_LOCAL_CACHE_DIR: join(copy, cache),
      SOURCE_DATE_EPOCH: '1700000000'
    }
  })

/** The newest version of glibc that an ELF file asks for. */
const glibc = (bytes: Buffer): number =>
  Math.max(...[...bytes.toString('latin1').matchAll(/GLIBC_2\.(\d+)/g)].map(m => Number(m[1])))

/** What the file's own header says: its format and its processor. */
function formatOf(bytes: Buffer): string {
  if (bytes.readUInt32BE(0) === 0x7f454c46) return `elf ${bytes.readUInt16LE(18)}`
  if (bytes.readUInt32LE(0) === 0xfeedfacf) return `mach-o ${bytes.readUInt32LE(4)}`
  const pe = bytes.readUInt32LE(0x3c)
  return `${bytes.toString('latin1', pe, pe + 2).toLowerCase()} ${bytes.readUInt16LE(pe + 4)}`
}
/** e_machine of ELF, cputype of Mach-O, Machine of PE. */
const FORMATS: Readonly<Record<string, string>> = {
  'linux-x64': 'elf 62',
  'linux-arm64': 'elf 183',
  'darwin-x64': `mach-o ${0x01000007}`,
  'darwin-arm64': `mach-o ${0x0100000c}`,
  'win32-x64': `pe ${0x8664}`
}

test(
  'zig makes the kernels of every platform, packed for it alone; those for this one load, and a second build ' +
    'gives the same bytes',
  { skip },
  t => {
    const at = fresh('first')
    const out = join(copy, 'out')
    const made = make(at, out, 'cache')
    if (/could not be installed/.test(made.stderr)) return t.skip('zig is not here, and it cannot be fetched')
    assert.equal(made.status, 0, made.stderr)
    const digests = JSON.parse(readFileSync(join(out, 'digests.json'), 'utf8')) as Record<string, string>
    assert.deepEqual(Object.keys(digests).toSorted(), Object.keys(FORMATS).toSorted())
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
    const unpacked = (platform: string, tarball: string): string => {
      const to = join(copy, 'unpacked', hash('sha256', readFileSync(tarball)), platform)
      mkdirSync(to, { recursive: true })
      assert.equal(spawnSync('tar', ['-xzf', tarball, '-C', to, '--strip-components=1']).status, 0)
      return to
    }
    for (const [platform, digest] of Object.entries(digests)) {
      const folder = unpacked(platform, join(out, `verit-kernels-${platform}-${version}.tgz`))
      const bytes = readFileSync(join(folder, 'verit.node'))
      assert.equal(hash('sha256', bytes), digest)
      assert.equal(formatOf(bytes), FORMATS[platform], platform)
      assert.ok(bytes.includes('napi_register_module_v1'), platform)
      // the path of the build would make the bytes depend on it
      for (const path of [copy, '.objects-']) assert.ok(!bytes.includes(path), `${platform} holds the path ${path}`)
      // what Node's own builds ask for
      if (platform.startsWith('linux')) assert.ok(glibc(bytes) <= 28, `${platform}: glibc 2.${glibc(bytes)}`)
      const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
        os: string[]
        cpu: string[]
        libc?: string[]
      }
      assert.equal(`${manifest.os}-${manifest.cpu}`, platform)
      assert.equal(manifest.libc?.join(), platform.startsWith('linux') ? 'glibc' : undefined)
      assert.match(
        readFileSync(join(folder, 'LICENSES.txt'), 'utf8'),
        platform.startsWith('win32') ? /Zig contributors[^]*mingw/i : /Zig contributors/
      )
      assert.ok(readFileSync(join(folder, 'sbom.cdx.json'), 'utf8').includes(digest))
    }
    const load = createRequire(import.meta.url)
    const [ours, own] = [join(at, 'prebuilds', here, 'verit.node'), join(root, 'build', here, 'verit.node')].map(
      file => load(file) as Record<string, unknown>
    )
    for (const name of ['instructionSets', 'vbmi', 'ops']) assert.deepEqual(ours![name], own![name])

    const again = join(copy, 'again')
    assert.equal(
      make(fresh('second'), again, 'second-cache', '--target', 'win32-x64', '--target', 'darwin-arm64').status,
      0
    )
    for (const platform of ['win32-x64', 'darwin-arm64']) {
      const name = `verit-kernels-${platform}-${version}.tgz`
      assert.ok(readFileSync(join(again, name)).equals(readFileSync(join(out, name))), name)
    }
  }
)

test('each platform package is for one system and processor, under the version of Verit', () => {
  for (const platform of Object.keys(PLATFORMS)) {
    const manifest = kernelManifest(platform, { version: '1.2.3', license: 'Apache-2.0', engines: { node: '>=1' } })
    assert.deepEqual(
      [manifest['name'], manifest['version'], manifest['scripts'], manifest['dependencies']],
      [`@verit/kernels-${platform}`, '1.2.3', undefined, undefined]
    )
  }
  assert.equal(make(root, copy, 'cache', '--target', 'plan9-x64').status, 1)
})
