/**
 * Which files may hold the kernels, and what a user is told where there are none. Installed packages are made here,
 * small ones, and asked by a program of their own.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { hash } from 'node:crypto'
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { PLATFORM, howToGetKernels, kernelFiles } from './kernel-files.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-kernel-files-'))
after(() => rmSync(dir, { recursive: true }))
const root = join(import.meta.dirname, '../..')

test('a checkout looks in its own folders, and says how to build', () => {
  for (const file of kernelFiles()) assert.ok(file.startsWith(root) && /(build|prebuilds)/.test(file), file)
  assert.equal(howToGetKernels(), 'run `npm run native`, which builds them')
})

test('an installed package names the command that gives it kernels, and a bundle the package to install', () => {
  const digests = { [PLATFORM]: 'a'.repeat(64) }
  const root = '/my app/node_modules/verit'
  const source = false
  const musl = false
  assert.equal(
    howToGetKernels({ root, source, musl, digests: {} }),
    'with a C compiler installed, run `node "/my app/node_modules/verit/scripts/build-native.mjs"`'
  )
  assert.match(
    howToGetKernels({ root, source, musl, digests }),
    /^run `npm install @verit\/kernels-\w+-\w+@\d+\.\d+\.\d+`; or, with a C compiler/
  )
  // npm refuses the platform packages where the C library is musl
  assert.match(howToGetKernels({ root, source, musl: true, digests }), /^with a C compiler installed, run /)
  assert.match(
    howToGetKernels({ root: undefined, source, musl, digests }),
    /^run `npm install @verit\/kernels-\S+` where the bundle runs$/
  )
  assert.match(
    howToGetKernels({ root: undefined, source, musl, digests: {} }),
    /^install verit, .* where the bundle runs$/
  )
})

/**
 * An app with verit's search in node_modules/verit and a platform package, whose kernels the release knows by `digest`.
 */
function app(name: string, kernels: string, digest: string | undefined): string[] {
  const verit = join(dir, name, 'node_modules/verit')
  const platform = join(dir, name, `node_modules/@verit/kernels-${PLATFORM}`)
  for (const file of ['exec/kernel-files.ts', 'lib/package-root.ts', 'lib/version.ts'])
    cpSync(join(root, 'src', file), join(verit, 'src', file))
  writeFileSync(join(verit, 'package.json'), '{"name": "verit", "type": "module"}')
  writeFileSync(
    join(verit, 'src/exec/kernel-digests.ts'),
    `export const KERNEL_DIGESTS = ${JSON.stringify(digest === undefined ? {} : { [PLATFORM]: digest })}`
  )
  mkdirSync(platform, { recursive: true })
  writeFileSync(join(platform, 'package.json'), `{"name": "@verit/kernels-${PLATFORM}"}`)
  writeFileSync(join(platform, 'verit.node'), kernels)
  // TypeScript in node_modules is not run by Node: the search is run from a link beside them
  cpSync(join(verit, 'src'), join(dir, name, 'src'), { recursive: true })
  writeFileSync(join(dir, name, 'package.json'), '{"name": "someone-elses-app", "type": "module"}')
  writeFileSync(
    join(dir, name, 'ask.ts'),
    'import { kernelFiles } from "./src/exec/kernel-files.ts"\nconsole.log(JSON.stringify(kernelFiles()))'
  )
  const { stdout, stderr } = spawnSync(process.execPath, [join(dir, name, 'ask.ts')], { encoding: 'utf8' })
  assert.equal(stderr, '')
  return JSON.parse(stdout) as string[]
}

test('the kernels of a platform package are used only where their digest came with the release', () => {
  const right = app('right', 'kernels', hash('sha256', 'kernels'))
  assert.equal(right.length, 1)
  assert.match(right[0]!, /node_modules[\\/]@verit[\\/]kernels-[\w-]+[\\/]verit\.node$/)
  assert.deepEqual(app('changed', 'other bytes', hash('sha256', 'kernels')), [])
  assert.deepEqual(app('unknown', 'kernels', undefined), [])
})
