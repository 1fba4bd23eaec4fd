/** A release of a small package: made from a commit, twice the same, signed; what was changed afterwards is refused. */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { hash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { newModelKey } from '../src/trust/model-key.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-release-test-'))
after(() => rmSync(dir, { recursive: true }))
const script = fileURLToPath(new URL('../scripts/release.ts', import.meta.url))
const release = (...args: string[]) => spawnSync(process.execPath, [script, ...args], { encoding: 'utf8', cwd: dir })

const source = join(dir, 'source'), out = join(dir, 'out')
mkdirSync(source)
const git = (...args: string[]): string => execFileSync('git', ['-c', 'user.name=a', '-c', 'user.email=a@example.com', '-c', 'commit.gpgsign=false', ...args], { cwd: source, encoding: 'utf8' }).trim()
/** @param made what the build writes: an expression */
function commit(made: string): void {
  writeFileSync(join(source, 'package.json'), JSON.stringify({ name: 'small', version: '1.2.3', files: ['dist', 'docs'], scripts: { prepack: 'node make.mjs' } }))
  writeFileSync(join(source, 'make.mjs'), `import { mkdirSync, writeFileSync } from 'node:fs'\nmkdirSync('dist')\nwriteFileSync('dist/made.txt', String(${made}))\n`)
  git('add', '.')
  git('commit', '-q', '-m', 'x')
}
const keys = Object.fromEntries(['own', 'other'].map(name => {
  const { privateKey, publicKey } = newModelKey('p256')
  const paths = { private: join(dir, `${name}.pem`), public: join(dir, `${name}.pub`) }
  writeFileSync(paths.private, privateKey, { mode: 0o600 })
  writeFileSync(paths.public, publicKey)
  return [name, paths]
})) as Record<'own' | 'other', { private: string; public: string }>

const hasNpm = spawnSync('npm', ['--version'], { stdio: 'ignore' }).status === 0 && spawnSync('git', ['--version'], { stdio: 'ignore' }).status === 0

test('a release is the commit, packed twice to the same bytes, with a signed provenance that no other bytes pass', { skip: !hasNpm && 'npm or git is not here' }, () => {
  git('init', '-q')
  writeFileSync(join(source, '.gitignore'), 'dist/\n')
  writeFileSync(join(source, 'package-lock.json'), '{}')
  commit('process.env.SOURCE_DATE_EPOCH')
  mkdirSync(join(source, 'dist'))
  writeFileSync(join(source, 'dist/left-over.txt'), 'of an earlier build')

  const made = release('--source', source, '--out', out, '--key', keys.own.private, '--repository', 'https://example.com/small.git')
  assert.equal(made.status, 0, made.stderr)
  const tarball = join(out, 'small-1.2.3.tgz'), bytes = readFileSync(tarball)
  assert.doesNotMatch(execFileSync('tar', ['-tzf', tarball], { encoding: 'utf8' }), /left-over/)
  const good = release('--verify', tarball, '--key', keys.own.public)
  assert.equal(good.status, 0, good.stderr)
  assert.match(good.stdout, new RegExp(`commit ${git('rev-parse', 'HEAD')} of https://example.com/small.git`))

  const path = `${tarball}.intoto.jsonl`, envelope = JSON.parse(readFileSync(path, 'utf8')) as { payload: string; payloadType: string; signatures: { sig: string }[] }
  const statement = JSON.parse(Buffer.from(envelope.payload, 'base64').toString()) as { _type: string; predicateType: string; subject: { digest: { sha512: string } }[]; predicate: { buildDefinition: { resolvedDependencies: unknown[] } } }
  assert.deepEqual([statement._type, statement.predicateType], ['https://in-toto.io/Statement/v1', 'https://slsa.dev/provenance/v1'])
  assert.equal(statement.subject[0]!.digest.sha512, hash('sha512', bytes))
  assert.deepEqual(statement.predicate.buildDefinition.resolvedDependencies[1], { name: 'package-lock.json', digest: { sha256: hash('sha256', '{}') } })

  const refused = (says: RegExp, key = keys.own.public): void => {
    const { status, stderr } = release('--verify', tarball, '--key', key)
    assert.equal(status, 1)
    assert.match(stderr, says)
  }
  refused(/not signed by this key/, keys.other.public)
  writeFileSync(tarball, Buffer.concat([bytes, Buffer.alloc(1)]))
  refused(/other bytes/)
  writeFileSync(tarball, bytes)
  const text = Buffer.from(JSON.stringify(statement).replace('1.2.3', '1.2.4')).toString('base64')
  for (const changed of [{ ...envelope, payload: text }, { ...envelope, signatures: [] }, { ...envelope, payloadType: 'text/plain' }, {}]) {
    writeFileSync(path, JSON.stringify(changed))
    refused(/not signed by this key|not a DSSE envelope/)
  }
})

test('a checkout with changes, and a build that gives other bytes each time, are no release', { skip: !hasNpm && 'npm or git is not here' }, () => {
  const attempt = (): string => {
    const { status, stderr } = release('--source', source, '--out', join(dir, 'none'), '--key', keys.own.private)
    assert.equal(status, 1)
    return stderr
  }
  writeFileSync(join(source, 'new.txt'), 'x')
  assert.match(attempt(), /clean checkout[^]*new\.txt/)
  git('config', 'status.showUntrackedFiles', 'no')
  assert.match(attempt(), /clean checkout[^]*new\.txt/)
  // what git ignores is packed all the same where package.json names its folder
  mkdirSync(join(source, 'docs'))
  writeFileSync(join(source, 'docs/a.md'), 'x')
  writeFileSync(join(source, '.gitignore'), 'dist/\n*.log\n')
  commit('1')
  writeFileSync(join(source, 'docs/secret.log'), 'x')
  assert.match(attempt(), /not of the commit[^]*docs\/secret\.log/)
  rmSync(join(source, 'docs/secret.log'))
  commit('process.hrtime.bigint()')
  assert.match(attempt(), /two different tarballs/)
})
