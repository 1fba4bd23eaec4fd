/**
 * A release of a small package: made from a commit, twice the same, signed by every key; what was changed afterwards is
 * refused, and so is a release that nobody stands behind.
 */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { hash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { newModelKey } from '../../src/trust/model-key.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-release-test-'))
after(() => rmSync(dir, { recursive: true }))
const script = fileURLToPath(new URL('../../scripts/release.ts', import.meta.url))
const release = (...args: string[]) => spawnSync(process.execPath, [script, ...args], { encoding: 'utf8', cwd: dir })

const source = join(dir, 'source')
const out = join(dir, 'out')
mkdirSync(source)
const git = (...args: string[]): string =>
  execFileSync('git', ['-c', 'user.name=a', '-c', 'user.email=a@example.com', '-c', 'commit.gpgsign=false', ...args], {
    cwd: source,
    encoding: 'utf8'
  }).trim()
const put = (path: string, text: string): void => {
  mkdirSync(dirname(join(source, path)), { recursive: true })
  writeFileSync(join(source, path), text)
}
const audited = (days: number): string =>
  JSON.stringify({ date: new Date(Date.now() - days * 86_400_000).toISOString(), packages: 1, advisories: [] })

/** @param made what the build writes: an expression */
function commit(made: string): void {
  put(
    'package.json',
    JSON.stringify({ name: 'small', version: '1.2.3', files: ['dist', 'docs'], scripts: { prepack: 'node make.mjs' } })
  )
  put(
    'make.mjs',
    `import { mkdirSync, writeFileSync } from 'node:fs'\nmkdirSync('dist')\nwriteFileSync('dist/made.txt', ` +
      `String(${made}))\n`
  )
  git('add', '.')
  git('commit', '-q', '-m', 'x')
}
const keys = Object.fromEntries(
  ['own', 'next', 'other'].map(name => {
    const { privateKey, publicKey } = newModelKey('p256')
    const paths = { private: join(dir, `${name}.pem`), public: join(dir, `${name}.pub`) }
    writeFileSync(paths.private, privateKey, { mode: 0o600 })
    writeFileSync(paths.public, publicKey)
    return [name, paths]
  })
) as Record<'own' | 'next' | 'other', { private: string; public: string }>

const hasNpm =
  spawnSync('npm', ['--version'], { stdio: 'ignore' }).status === 0 &&
  spawnSync('git', ['--version'], { stdio: 'ignore' }).status === 0
const skip = !hasNpm && 'npm or git is not here'

/** What a release of the source as it is says, where it is refused. */
function refusal(): string {
  const { status, stderr } = release('--source', source, '--out', join(dir, 'none'), '--key', keys.own.private)
  assert.equal(status, 1)
  return stderr
}

test(
  'there is no release without a security contact, or without an answer of the last days on known weaknesses',
  { skip },
  () => {
    git('init', '-q')
    put('.gitignore', 'dist/\n')
    put('package-lock.json', '{}')
    commit('process.env.SOURCE_DATE_EPOCH')
    assert.match(refusal(), /^A release names a security contact, and there is no src\/lib\/security-contact\.ts\n$/)
    for (const [contact, says] of [
      ['', 'no security contact is set'],
      ['mailto:security@example.com', 'an example']
    ]) {
      put('src/lib/security-contact.ts', `export const SECURITY_CONTACT = '${contact}'\n`)
      commit('process.env.SOURCE_DATE_EPOCH')
      assert.match(refusal(), new RegExp(`A release names a security contact: .*${says}.*scripts/contact\\.ts`))
    }
    put('src/lib/security-contact.ts', "export const SECURITY_CONTACT = 'mailto:security@small.dev'\n")
    commit('process.env.SOURCE_DATE_EPOCH')
    for (const [audit, says] of [
      [undefined, 'missing or unreadable'],
      ['<html>', 'missing or unreadable'],
      [audited(15), '15 days old']
    ] as const) {
      if (audit !== undefined) put('docs/audit-advisories.json', audit)
      if (audit !== undefined) commit('process.env.SOURCE_DATE_EPOCH')
      assert.match(refusal(), new RegExp(`audit-advisories\\.json is ${says}.*scripts/advisories\\.ts`))
    }
  }
)

test(
  'a release is the commit, packed twice to the same bytes, with a provenance signed by each key that no other ' +
    'bytes pass',
  { skip },
  () => {
    put('docs/audit-advisories.json', audited(1))
    commit('process.env.SOURCE_DATE_EPOCH')
    put('dist/left-over.txt', 'of an earlier build')

    const made = release(
      '--source',
      source,
      '--out',
      out,
      '--key',
      keys.own.private,
      '--key',
      keys.next.private,
      '--repository',
      'https://example.com/small.git'
    )
    assert.equal(made.status, 0, made.stderr)
    const tarball = join(out, 'small-1.2.3.tgz')
    const bytes = readFileSync(tarball)
    assert.equal(made.stdout, `${tarball}\n`)
    assert.doesNotMatch(execFileSync('tar', ['-tzf', tarball], { encoding: 'utf8' }), /left-over/)
    for (const given of [[keys.own], [keys.next], [keys.other, keys.next]]) {
      const good = release('--verify', tarball, ...given.flatMap(key => ['--key', key.public]))
      assert.equal(good.status, 0, good.stderr)
      assert.match(
        good.stdout,
        new RegExp(
          `commit ${git('rev-parse', 'HEAD')} of https://example.com/small.git[^]*signed by the key ` +
            `${hash('sha256', readFileSync(given.at(-1)!.public))}\n$`
        )
      )
    }

    const path = `${tarball}.intoto.jsonl`
    const envelope = JSON.parse(readFileSync(path, 'utf8')) as {
      payload: string
      payloadType: string
      signatures: { sig: string }[]
    }
    const statement = JSON.parse(Buffer.from(envelope.payload, 'base64').toString()) as {
      _type: string
      predicateType: string
      subject: { digest: { sha512: string } }[]
      predicate: { buildDefinition: { resolvedDependencies: unknown[] } }
    }
    assert.equal(envelope.signatures.length, 2)
    assert.deepEqual(
      [statement._type, statement.predicateType],
      ['https://in-toto.io/Statement/v1', 'https://slsa.dev/provenance/v1']
    )
    assert.equal(statement.subject[0]!.digest.sha512, hash('sha512', bytes))
    assert.deepEqual(statement.predicate.buildDefinition.resolvedDependencies[1], {
      name: 'package-lock.json',
      digest: { sha256: hash('sha256', '{}') }
    })

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
    for (const changed of [
      { ...envelope, payload: text },
      { ...envelope, signatures: [] },
      { ...envelope, payloadType: 'text/plain' },
      {}
    ]) {
      writeFileSync(path, JSON.stringify(changed))
      refused(/not signed by this key|not a DSSE envelope/)
    }
  }
)

test('a checkout with changes, and a build that gives other bytes each time, are no release', { skip }, () => {
  put('new.txt', 'x')
  assert.match(refusal(), /clean checkout[^]*new\.txt/)
  git('config', 'status.showUntrackedFiles', 'no')
  assert.match(refusal(), /clean checkout[^]*new\.txt/)
  // what git ignores is packed all the same where package.json names its folder
  put('.gitignore', 'dist/\n*.log\n')
  commit('1')
  put('docs/secret.log', 'x')
  assert.match(refusal(), /not of the commit[^]*docs\/secret\.log/)
  rmSync(join(source, 'docs/secret.log'))
  commit('process.hrtime.bigint()')
  assert.match(refusal(), /two different tarballs of small-1\.2\.3\.tgz/)
})
