/**
 * Class I: the own package is changed after it was installed. A small copy of a package stands for it; the list and the
 * check are those of the real one.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  appendFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, test } from 'node:test'
import { writePackageFiles } from '../../scripts/package-files.ts'
import { MANIFEST, checkPackage } from '../../src/doctor/package-files.ts'
import { digestBytes } from '../../src/trust/digest.ts'

const FILES = [
  'dist/cli/main.js',
  'dist/index.js',
  'dist/node_modules/own/index.js',
  'native/plan.c',
  'prebuilds/linux-x64/verit.node',
  'models/verit.pub',
  'docs/internals/pull.md',
  'scripts/build-native.mjs',
  'LICENSE',
  'README.md',
  'SECURITY.md'
]
const NOT_PACKED = ['prebuilds/linux-x64/notes.txt', 'scripts/sbom.ts', 'src/index.ts', 'node_modules/other/index.js']
let base: string
let listed: string
before(async () => {
  base = mkdtempSync(join(tmpdir(), 'verit-package-'))
  const { files } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    files: string[]
  }
  const put = (path: string, text: string): void => {
    mkdirSync(dirname(join(base, 'built', path)), { recursive: true })
    writeFileSync(join(base, 'built', path), text)
  }
  for (const path of [...FILES, ...NOT_PACKED]) put(path, `text of ${path}`)
  put('package.json', JSON.stringify({ name: 'verit-copy', version: '1.0.0', files }))
  listed = await writePackageFiles(join(base, 'built'))
  // as installed: what was packed, and packages beside it
  for (const path of [...FILES, 'package.json', MANIFEST, 'node_modules/other/index.js'])
    cpSync(join(base, 'built', path), join(base, 'installed', path))
})
after(() => rmSync(base, { recursive: true, force: true }))

/** Changes a copy of the installed package, and gives what the doctor says. */
async function doctored(change: (root: string) => void): Promise<[check: string, level: string, says: string][]> {
  const root = join(base, 'copy')
  rmSync(root, { recursive: true, force: true })
  cpSync(join(base, 'installed'), root, { recursive: true })
  change(root)
  return (await checkPackage(root, false)).map(f => [f.check, f.level, f.says])
}

test('I9 the list names just what npm packs', () => {
  const out = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts', '--offline'], {
    cwd: join(base, 'built'),
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore']
  })
  const [{ files }] = JSON.parse(out.slice(out.indexOf('['))) as [{ files: { path: string }[] }]
  const { files: ours } = JSON.parse(readFileSync(join(base, 'built', MANIFEST), 'utf8')) as {
    files: Record<string, string>
  }
  assert.deepEqual([...Object.keys(ours), MANIFEST].toSorted(), files.map(f => f.path).toSorted())
})

test('I9 doctor names changed, missing, exchanged and additional files of the installed package', async () => {
  const says = async (change: (root: string) => void, check: string, level: string, text: RegExp): Promise<void> => {
    const found = (await doctored(change)).find(([c]) => c === check)
    assert.deepEqual([found?.[1], text.test(found?.[2] ?? '')], [level, true], JSON.stringify(found))
  }
  assert.deepEqual(await doctored(() => undefined), [
    [
      'package.files',
      'ok',
      `All ${FILES.length + 1} files are as they were packed; the list (dist/files.json) is ${listed}: compare ` +
        `that with the release's`
    ]
  ])
  for (const path of [...FILES, 'package.json'])
    await says(
      root => appendFileSync(join(root, path), ' '),
      'package.changed',
      'problem',
      new RegExp(`^${path} is not as packed`)
    )
  await says(root => rmSync(join(root, 'dist/index.js')), 'package.missing', 'problem', /^dist\/index\.js is missing/)
  await says(
    root => {
      renameSync(join(root, 'dist/index.js'), join(base, 'elsewhere.js'))
      symlinkSync(join(base, 'elsewhere.js'), join(root, 'dist/index.js'))
    },
    'package.changed',
    'problem',
    /^dist\/index\.js is not as packed/
  )
  await says(
    root => {
      rmSync(join(root, 'LICENSE'))
      mkdirSync(join(root, 'LICENSE'))
    },
    'package.changed',
    'problem',
    /^LICENSE is not as packed/
  )
  for (const path of ['dist/cli/extra.js', 'prebuilds/linux-x64/other.node', 'binding.gyp', '.npmrc']) {
    await says(
      root => writeFileSync(join(root, path), 'x'),
      'package.additional',
      'warning',
      new RegExp(`^${path.replaceAll('.', '\\.')} is in the package's folder`)
    )
  }
  // Node looks for a dependency there first
  await says(
    root => (
      mkdirSync(join(root, 'dist/node_modules/fastify'), { recursive: true }),
      writeFileSync(join(root, 'dist/node_modules/fastify/index.js'), 'x')
    ),
    'package.additional',
    'warning',
    /^dist\/node_modules\/fastify\/index\.js is in the package's folder/
  )
  await says(
    root => FILES.forEach(path => writeFileSync(join(root, path), 'x')),
    'package.changed',
    'problem',
    /and 6 more are not as packed/
  )
})

test(
  'I9 a list that is damaged or leads out of the package is a problem, one that is missing is told; one that ' +
    'was changed with the files has another digest',
  async () => {
    const damage: ((root: string) => void)[] = [
      root => writeFileSync(join(root, MANIFEST), '{'),
      root => writeFileSync(join(root, MANIFEST), '{"version":1}'),
      root =>
        writeFileSync(
          join(root, MANIFEST),
          JSON.stringify({ version: 1, files: { '../../etc/passwd': digestBytes('') } })
        ),
      root =>
        writeFileSync(join(root, MANIFEST), JSON.stringify({ version: 1, files: { '/etc/passwd': digestBytes('') } })),
      root => writeFileSync(join(root, MANIFEST), ' '.repeat(5 << 20))
    ]
    for (const each of damage)
      assert.deepEqual(
        (await doctored(each)).map(([check, level]) => [check, level]),
        [['package.files', 'problem']]
      )
    assert.deepEqual(
      (await doctored(root => rmSync(join(root, MANIFEST)))).map(([check, level]) => [check, level]),
      [['package.files', 'note']]
    )
    const text = readFileSync(join(base, 'installed', MANIFEST), 'utf8')
    const [, , says] = (
      await doctored(root => {
        writeFileSync(join(root, 'dist/index.js'), 'evil')
        writeFileSync(join(root, MANIFEST), text.replace(digestBytes('text of dist/index.js'), digestBytes('evil')))
      })
    )[0]!
    assert.match(says, /are as they were packed/)
    assert.ok(!says.includes(listed))
  }
)
