/**
 * The package as npm would publish it, installed in an empty project: one package, a library with its types, a command,
 * a server; bundled with esbuild; and in the form of a release, whose kernels are a package of their own.
 */
import assert from 'node:assert/strict'
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync
} from 'node:fs'
import { spawnSync } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { build } from 'esbuild-wasm'
import { VERSION } from '../../src/lib/version.ts'
import { packedManifest } from '../../scripts/packed-manifest.ts'
import type { Manifest } from '../../scripts/packed-manifest.ts'
import { App, GENERATE, pack, root } from '../packed.ts'
import type { Generated } from '../packed.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-package-'))
after(() => rmSync(dir, { recursive: true, force: true }))
const own = readFileSync(join(root, 'package.json'), 'utf8')
let packed: { tarball: string; paths: string[] }
let app: App
before(() => {
  packed = pack(join(dir, 'own'))
  app = new App(join(dir, 'app'), [packed.tarball])
})

/** Bytes of a folder's files. */
const size = (folder: string): number =>
  Number(spawnSync('du', ['-sb', folder], { encoding: 'utf8' }).stdout.split('\t')[0])

test('an install is one package without dependencies or scripts, and leaves the checkout as it was', () => {
  assert.deepEqual(app.packages(), ['node_modules/verit'])
  if (process.platform === 'linux') assert.ok(size(join(app.folder, 'node_modules')) < 16_000_000)
  assert.ok(statSync(packed.tarball).size < 8_000_000 && packed.paths.length < 800, `${packed.paths.length} files`)
  assert.deepEqual(
    packed.paths.filter(p => /\.test\.|^test\/|^src\/|node_modules|\.log$|\.stamp$|\.map$/.test(p)),
    []
  )
  const manifest = JSON.parse(readFileSync(join(app.folder, 'node_modules/verit/package.json'), 'utf8')) as Manifest
  assert.deepEqual(manifest, packedManifest(JSON.parse(own) as Manifest))
  for (const field of ['scripts', 'dependencies', 'devDependencies', 'optionalDependencies', 'workspaces'])
    assert.equal(manifest[field], undefined)
  assert.equal(readFileSync(join(root, 'package.json'), 'utf8'), own)
})

test('every package whose code is inside has its licence there, and is in the bill of materials', () => {
  const at = (path: string): string => readFileSync(join(app.folder, 'node_modules/verit/dist', path), 'utf8')
  const bom = JSON.parse(at('sbom.cdx.json')) as { components: { type: string; name: string; version: string }[] }
  const licensed = [...at('vendor/LICENSES.txt').matchAll(/^-{80}\n\n(\S+) (\S+) \(.+\)$/gm)].map(
    ([, name, version]) => `${name} ${version}`
  )
  assert.ok(licensed.length > 50)
  const listed = bom.components.filter(c => c.type === 'library').map(c => `${c.name} ${c.version}`)
  assert.deepEqual(
    licensed.filter(text => !listed.includes(text)),
    []
  )
  // and nothing is imported that is not inside
  const bare = packed.paths.filter(
    p =>
      p.endsWith('.js') &&
      /^(?:import|export)\b[^'"]*\bfrom ['"](?!\.|node:)/m.test(at(p.slice('dist/'.length))) &&
      !p.startsWith('dist/vendor/')
  )
  assert.deepEqual(bare, [])
})

test('the library runs, and its types hold for strict compilers that look into them', () => {
  const { executor, text, version } = JSON.parse(app.program('use.mjs', GENERATE)) as Generated
  assert.match(executor, /^native /)
  assert.ok(text.length > 8)
  assert.equal(version, VERSION)
  writeFileSync(
    join(app.folder, 'use.ts'),
    `
import { loadModel, VeritError } from 'verit'
import type { GenerateEvent, LoadOptions } from 'verit'
import { veritFetch } from 'verit/client'
const options: LoadOptions = { progress: ({ stage, done, total }) => console.log(stage, done / total) }
await using model = await loadModel('model.gguf', options)
for await (const event of model.generate({ prompt: 'x' }) as AsyncIterable<GenerateEvent>) if (event.type === 'token') console.log(event.text)
console.log(VeritError.name, veritFetch({ url: 'http://127.0.0.1:8081' }).name)
`
  )
  const flags = [
    '--strict',
    '--exactOptionalPropertyTypes',
    '--noUncheckedIndexedAccess',
    '--skipLibCheck',
    'false',
    '--allowImportingTsExtensions',
    '--noEmit'
  ]
  const types = ['--types', 'node', '--typeRoots', join(root, 'node_modules/@types'), '--target', 'esnext']
  const compiled = app.run(join(root, 'node_modules/.bin/tsc'), ...flags, '--module', 'nodenext', ...types, 'use.ts')
  assert.equal(compiled.status, 0, compiled.stdout)
})

test('the command generates, serves, and finds its own files as they were packed', async () => {
  assert.equal(app.run('npx', 'verit', '--version').stdout.split('\n')[0], `verit ${VERSION}`)
  const { text } = JSON.parse(app.program('use.mjs', GENERATE)) as Generated
  assert.ok(
    app
      .run('npx', 'verit', 'generate', '--max-tokens', '8', '--temperature', '0', 'Fellow citizens')
      .stdout.includes(text.trim())
  )
  const served = await app.serve({ prompt: 'Fellow citizens', max_tokens: 8, temperature: 0 })
  assert.deepEqual(
    [served.status, (served.answer as { choices: { text: string }[] }).choices[0]!.text, served.exit],
    [200, text, 0]
  )
  const { findings } = JSON.parse(
    app.run('npx', 'verit', 'doctor', '--json', '--state', join(app.folder, 'state')).stdout
  ) as { findings: { check: string; level: string }[] }
  assert.equal(findings.find(f => f.check === 'package.files')?.level, 'ok')
  assert.ok(findings.some(f => f.check === 'contact'))
})

test(
  'bundled by esbuild, the library finds kernels and model of the installed package, and says what is missing ' +
    'without it',
  async () => {
    writeFileSync(join(app.folder, 'bundle-me.js'), GENERATE)
    // a bundle in the CommonJS format has no await at its top
    writeFileSync(
      join(app.folder, 'bundle-me-too.js'),
      `${GENERATE.replace('const model', 'void (async () => {\nconst model')}})()`
    )
    const away = join(dir, 'away')
    mkdirSync(away)
    const expected = JSON.parse(app.program('use.mjs', GENERATE)) as Generated
    for (const [entry, format, out] of [
      ['bundle-me.js', 'esm', 'out.mjs'],
      ['bundle-me-too.js', 'cjs', 'out.cjs']
    ] as const) {
      const outfile = join(app.folder, 'built/deep', out)
      const logLevel = format === 'cjs' ? 'error' : 'warning'
      const result = await build({
        absWorkingDir: app.folder,
        entryPoints: [entry],
        bundle: true,
        platform: 'node',
        format,
        outfile,
        logLevel
      })
      assert.deepEqual(result.errors, [])
      const inside = app.run('node', outfile)
      assert.deepEqual(JSON.parse(inside.stdout || JSON.stringify(inside.stderr)), expected)

      cpSync(outfile, join(away, out))
      const alone = spawnSync('node', [join(away, out), join(root, 'models/verit-sotu.gguf')], {
        encoding: 'utf8',
        env: app.env
      })
      assert.match(
        alone.stderr,
        /^verit: There are no native kernels for \S+\. .* To fix this, install verit, with kernels for this platform, where the bundle runs\.\n$/
      )
      assert.deepEqual(JSON.parse(alone.stdout), { ...expected, executor: 'reference' })
      const without = spawnSync('node', [join(away, out)], { encoding: 'utf8', env: app.env })
      assert.match(
        without.stderr,
        /models\/verit-sotu\.gguf of the verit package was not found: this program was bundled.*Install verit where the bundle runs/s
      )
    }
  }
)

test(
  'in a release the kernels are a package of their own, and count only with the digest that the release knows',
  { skip: process.platform !== 'linux' && 'zig is fetched for Linux alone' },
  t => {
    const here = `${process.platform}-${process.arch}`
    const folder = join(dir, 'release')
    const made = spawnSync(
      process.execPath,
      [join(root, 'scripts/kernel-packages.ts'), '--out', folder, '--target', here],
      { encoding: 'utf8' }
    )
    if (/could not be installed/.test(made.stderr)) return t.skip('zig is not here, and it cannot be fetched')
    assert.equal(made.status, 0, made.stderr)
    const { tarball, paths } = pack(folder, { VERIT_KERNELS: join(folder, 'digests.json') })
    assert.deepEqual(
      paths.filter(p => p.endsWith('.node')),
      []
    )
    const kernels = join(folder, `verit-kernels-${here}-${VERSION}.tgz`)
    assert.ok(existsSync(kernels))
    const expected = JSON.parse(app.program('use.mjs', GENERATE)) as Generated

    const both = new App(join(dir, 'both'), [tarball, kernels])
    assert.deepEqual(both.packages(), [`node_modules/@verit/kernels-${here}`, 'node_modules/verit'])
    assert.deepEqual(JSON.parse(both.program('use.mjs', GENERATE)), expected)
    // other bytes under the same name are not loaded, whatever they would do
    appendFileSync(join(both.folder, `node_modules/@verit/kernels-${here}/verit.node`), ' ')
    const refused = both.run('node', 'use.mjs')
    assert.equal((JSON.parse(refused.stdout) as Generated).executor, 'reference')
    assert.match(
      refused.stderr,
      new RegExp(
        `To fix this, run \`npm install @verit/kernels-${here}@${VERSION}\`; or, with a C compiler installed, run ` +
          `\`node ".*build-native\\.mjs"\``
      )
    )

    // where npm cannot fetch them, Verit works without, and the command that it names builds them
    const alone = new App(join(dir, 'alone'), [tarball])
    assert.deepEqual(alone.packages(), ['node_modules/verit'])
    const slow = JSON.parse(alone.program('use.mjs', GENERATE)) as Generated
    assert.deepEqual(slow, { ...expected, executor: 'reference' })
    const built = alone.run('node', join(alone.folder, 'node_modules/verit/scripts/build-native.mjs'))
    assert.equal(built.status, 0, built.stderr)
    assert.deepEqual(JSON.parse(alone.program('use.mjs', GENERATE)), expected)
  }
)
