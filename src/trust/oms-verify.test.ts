import assert from 'node:assert/strict'
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from 'node:fs'
import { generateKeyPairSync } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { VeritError } from '../lib/errors.ts'
import type { ErrorCode } from '../lib/errors.ts'
import { digestBytes, digestFile } from './digest.ts'
import { preAuthEncoding } from './dsse.ts'
import { modelKey, publicKeyFromPem, signWith } from './model-key.ts'
import type { ModelKey } from './model-key.ts'
import { PAYLOAD_TYPE, formatBundle, parseBundle } from './oms-bundle.ts'
import { signModel } from './oms-sign.ts'
import { byCodePoints, encodeStatement, parseStatement } from './oms-statement.ts'
import type { OmsStatement } from './oms-statement.ts'
import { verifyBundle, verifyModel, verifyModelFile } from './oms-verify.ts'
import type { VerifyOptions } from './oms-verify.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-oms-'))
after(() => rmSync(dir, { recursive: true }))
const pair = (curve: string): ModelKey & { privateKey: KeyObject } => {
  const { privateKey, publicKey } =
    curve === 'ed25519' ? generateKeyPairSync('ed25519') : generateKeyPairSync('ec', { namedCurve: curve })
  return { ...modelKey(publicKey, 'test'), privateKey }
}
const key = pair('prime256v1')
const trusted = [{ name: 'team', key }]
const input = (text: string): VerifyOptions => ({
  bundle: { bytes: Buffer.from(text), source: join(dir, 'x.sig') },
  trusted,
  allowEd25519: true
})
const code =
  (expected: ErrorCode, problem = /./) =>
  (e: unknown): boolean =>
    (VeritError.is(e, expected) && problem.test(e.message)) || assert.fail(`not ${expected} ${problem}: ${String(e)}`)
const folder = (name: string, files: Record<string, string | Buffer>): string => {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(join(dir, name, path, '..'), { recursive: true })
    writeFileSync(join(dir, name, path), content)
  }
  return join(dir, name)
}
const signed = (statement: unknown): string => {
  const payload = Buffer.from(JSON.stringify(statement))
  return formatBundle(key.hint, payload, signWith(key.privateKey, key.kind, preAuthEncoding(PAYLOAD_TYPE, payload)))
}
const vectors = JSON.parse(readFileSync(new URL('../../test/vectors/oms.json', import.meta.url), 'utf8')) as {
  publicKey: string
  valid: Record<string, object>
  invalid: Record<string, object>
}
const theirs = { name: 'theirs', key: publicKeyFromPem(vectors.publicKey, 'vector') }
const vector = (bundle: object): VerifyOptions => ({
  bundle: { bytes: Buffer.from(JSON.stringify(bundle)), source: 'vector' },
  trusted: [theirs]
})

test('bundles made by the reference implementation and by the one in Go verify, with the files they sign', async () => {
  const simple = folder('simple', { 'signme-1': 'signme-1\n', 'signme-2': 'signme-2' })
  const several = folder('model', {
    'config.json': '{"model": "test", "version": "1.0"}',
    'subdir/adapter.bin': Buffer.alloc(512, 205),
    'weights.bin': Buffer.alloc(1024, 171)
  })
  const single = join(folder('single', { 'model.bin': Buffer.alloc(256, 239) }), 'model.bin')
  for (const [name, model] of Object.entries({
    key: simple,
    certificate: simple,
    go: simple,
    python: several,
    single
  })) {
    assert.equal((await verifyModel(model, vector(vectors.valid[name]!))).signer, 'theirs', name)
  }
  await assert.rejects(verifyModel(simple, vector(vectors.valid['python']!)), code('VERIT_MODEL_CHANGED'))
  assert.equal(
    verifyModelFile({ ...vector(vectors.valid['single']!), fileName: 'model.bin' }, digestBytes(Buffer.alloc(256, 239)))
      .signer,
    'theirs'
  )
})

test('the invalid bundles of the specification are refused, those with a good signature too', () => {
  const expected: Record<string, ErrorCode> = { 'wrong-predicate': 'VERIT_MODEL_SIGNATURE' }
  assert.equal(Object.keys(vectors.invalid).length, 6)
  for (const [name, bundle] of Object.entries(vectors.invalid))
    assert.throws(() => verifyBundle(vector(bundle)), code(expected[name] ?? 'VERIT_BUNDLE'), name)
})

for (const curve of ['prime256v1', 'secp384r1', 'secp521r1', 'ed25519']) {
  test(`a folder signed with ${curve} verifies, and with no other key`, async () => {
    const own = pair(curve)
    const model = folder(`m-${curve}`, { a: 'a', 'b/c': 'c', 'b/ä 😀': '', '.git/config': 'x', 'sub/.git': 'x' })
    const text = await signModel(model, own)
    const options = {
      ...input(text),
      trusted: [
        { name: 'x', key },
        { name: 'own', key: own }
      ]
    }
    const verified = await verifyModel(model, options)
    assert.deepEqual(
      [verified.signer, verified.model.parts.map(p => p.path)],
      ['own', ['a', 'b/c', 'b/ä 😀', 'sub/.git']]
    )
    assert.throws(() => verifyBundle(input(text)), code('VERIT_SIGNER'))
    assert.throws(
      () => verifyBundle({ ...options, trusted: [{ name: 'forged', key: { ...key, hint: own.hint } }] }),
      code('VERIT_MODEL_SIGNATURE')
    )
    if (curve === 'ed25519')
      assert.throws(() => verifyBundle({ ...options, allowEd25519: false }), code('VERIT_SIGNER', /Ed25519/))
  })
}

test(
  'a file that was changed, added, removed, renamed, moved, made a link, a folder, or one that others may ' +
    'write to is refused',
  async () => {
    const original = folder('original', { a: 'aaa', 'b/c': 'ccc' })
    const text = await signModel(original, key)
    const tampered: [string, (m: string) => void, ErrorCode, RegExp][] = [
      ['changed', m => writeFileSync(join(m, 'a'), 'aab'), 'VERIT_MODEL_CHANGED', /a has another content/],
      ['longer', m => writeFileSync(join(m, 'a'), 'aaaa'), 'VERIT_MODEL_CHANGED', /another content/],
      ['emptied', m => writeFileSync(join(m, 'a'), ''), 'VERIT_MODEL_CHANGED', /another content/],
      ['added', m => writeFileSync(join(m, 'b', 'extra.py'), ''), 'VERIT_MODEL_CHANGED', /b\/extra\.py was not signed/],
      ['hidden', m => writeFileSync(join(m, '.hidden'), ''), 'VERIT_MODEL_CHANGED', /\.hidden was not signed/],
      ['removed', m => rmSync(join(m, 'b', 'c')), 'VERIT_MODEL_CHANGED', /b\/c is missing/],
      ['renamed', m => renameSync(join(m, 'a'), join(m, 'A')), 'VERIT_MODEL_CHANGED', /a is missing/],
      ['moved', m => renameSync(join(m, 'b', 'c'), join(m, 'c')), 'VERIT_MODEL_CHANGED', /b\/c is missing/],
      [
        'swapped',
        m => (writeFileSync(join(m, 'a'), 'ccc'), writeFileSync(join(m, 'b', 'c'), 'aaa')),
        'VERIT_MODEL_CHANGED',
        /another content/
      ],
      [
        'linked',
        m => (renameSync(join(m, 'a'), join(dir, 'elsewhere')), symlinkSync(join(dir, 'elsewhere'), join(m, 'a'))),
        'VERIT_MODEL_FILES',
        /symbolic link/
      ],
      ['link added', m => symlinkSync('a', join(m, 'z')), 'VERIT_MODEL_FILES', /symbolic link/],
      ['folder', m => (rmSync(join(m, 'a')), mkdirSync(join(m, 'a'))), 'VERIT_MODEL_CHANGED', /a is missing/],
      ['open', m => chmodSync(join(m, 'a'), 0o664), 'VERIT_OTHERS_WRITE', /chmod go-w/]
    ]
    for (const [name, change, expected, problem] of tampered) {
      const copy = join(dir, 'copies', name)
      cpSync(original, copy, { recursive: true })
      await verifyModel(copy, input(text))
      change(copy)
      await assert.rejects(verifyModel(copy, input(text)), code(expected, problem), name)
    }
    symlinkSync(original, join(dir, 'copies', 'itself'))
    await assert.rejects(verifyModel(join(dir, 'copies', 'itself'), input(text)), code('VERIT_FILE_KIND'))
  }
)

test('links are not signed, nor folders without files, nor names that are not UTF-8', async () => {
  symlinkSync('a', join(folder('with-link', { a: '' }), 'b'))
  await assert.rejects(signModel(join(dir, 'with-link'), key), code('VERIT_MODEL_FILES', /symbolic link/))
  mkdirSync(join(dir, 'nothing', 'in it'), { recursive: true })
  await assert.rejects(signModel(join(dir, 'nothing'), key), code('VERIT_MODEL_FILES', /no files/))
  writeFileSync(Buffer.concat([Buffer.from(`${folder('latin', { a: '' })}/`), Buffer.from([0xe4])]), '')
  await assert.rejects(signModel(join(dir, 'latin'), key), code('VERIT_MODEL_FILES', /UTF-8/))
})

test('what the signer left out is left out, and only that', async () => {
  const model = folder('ignoring', { a: '', 'cache/x': '', 'b/cache': '' })
  const text = await signModel(model, key, { ignore: ['cache'] })
  writeFileSync(join(model, 'cache', 'y'), 'new')
  assert.deepEqual(
    (await verifyModel(model, input(text))).model.parts.map(p => p.path),
    ['a', 'b/cache']
  )
  await assert.rejects(signModel(model, key, { ignore: ['../x'] }), code('VERIT_USAGE'))
  await assert.rejects(signModel(model, key, { ignore: ['*.bin'] }), code('VERIT_USAGE'))
})

test('a single file is compared by name and by a digest taken elsewhere', async () => {
  const path = join(folder('one', { 'my.gguf': 'content', 'other.txt': '' }), 'my.gguf')
  const options = input(await signModel(path, key))
  await verifyModel(path, options)
  const digest = await digestFile(path)
  assert.equal(verifyModelFile({ ...options, fileName: 'my.gguf' }, digest).signer, 'team')
  assert.throws(
    () => verifyModelFile({ ...options, fileName: 'your.gguf' }, digest),
    code('VERIT_MODEL_CHANGED', /is named my\.gguf/)
  )
  assert.throws(
    () => verifyModelFile({ ...options, fileName: 'my.gguf' }, digestBytes('other')),
    code('VERIT_MODEL_CHANGED', /SHA-256/)
  )
  assert.throws(
    () => verifyModelFile({ ...input(signed(statement({ a: '', b: '' }))), fileName: 'a' }, digest),
    code('VERIT_MODEL_CHANGED', /2 files/)
  )
  renameSync(path, join(dir, 'one', 'renamed.gguf'))
  await assert.rejects(verifyModel(join(dir, 'one', 'renamed.gguf'), options), code('VERIT_MODEL_CHANGED', /missing/))
})

const statement = (files: Record<string, string>): OmsStatement =>
  JSON.parse(
    encodeStatement(
      'm',
      Object.entries(files).map(([path, c]) => ({ path, digest: digestBytes(c).slice(7) })),
      []
    ).toString()
  ) as OmsStatement

test('a statement that is well signed and contradicts itself is refused', () => {
  const spoil = (
    change: (s: OmsStatement & { predicate: { serialization: Record<string, unknown> } }) => void
  ): string => {
    const s = structuredClone(statement({ a: '1', b: '2' }))
    change(s)
    return signed(s)
  }
  const cases: [RegExp, string][] = [
    [/sorted/, spoil(s => void s.predicate.resources.reverse())],
    [/sorted, or one is named twice/, spoil(s => void s.predicate.resources.splice(1, 1, s.predicate.resources[0]!))],
    [/root digest/, spoil(s => void (s.subject[0]!.digest.sha256 = '0'.repeat(64)))],
    [/root digest/, spoil(s => void s.predicate.resources.pop())],
    ...['../a', '/a', 'x/../a', './a', 'a/', 'a//b', '.', 'a\0'].map((name): [RegExp, string] => [
      /the name|shortest|leads out/,
      spoil(s => void (s.predicate.resources[0]!.name = name))
    ]),
    [/allow_symlinks/, spoil(s => void (s.predicate.serialization.allow_symlinks = true as false))],
    [/hash_type/, spoil(s => void (s.predicate.serialization.hash_type = 'blake3' as 'sha256'))],
    [/digest/, spoil(s => void (s.predicate.resources[0]!.digest = 'A'.repeat(64)))],
    [/ignore_paths/, spoil(s => void (s.predicate.serialization.ignore_paths = ['../x']))],
    [/ignore_paths/, spoil(s => void (s.predicate.serialization.ignore_paths = ['*']))],
    [/shard_size/, spoil(s => void (s.predicate.serialization.shard_size = 5))],
    [/shard_size/, spoil(s => void (s.predicate.serialization.method = 'shards'))],
    [/another kind/, spoil(s => void (s.predicateType = 'https://model_signing/Digests/v0.1' as never))],
    [/_type/, spoil(s => void (s._type = 'https://in-toto.io/Statement/v0.1' as never))],
    [/twice/, signed('').replace(/"payload":"[^"]*","payloadType":"[^"]*"/, all => `${all},${all}`)]
  ]
  for (const [problem, text] of cases) assert.throws(() => verifyBundle(input(text)), code('VERIT_BUNDLE', problem))
})

test('ranges of bytes verify, and must cover each file once', async () => {
  const model = folder('ranges', { 'a:1': 'abcdefghijkl', b: 'xy', empty: '' })
  const ranged = (parts: [string, string][], size = 5): string => {
    const s = statement(Object.fromEntries(parts))
    Object.assign(s.predicate.serialization, { method: 'shards', shard_size: size })
    return signed(s)
  }
  const all: [string, string][] = [
    ['a:1:0:5', 'abcde'],
    ['a:1:10:12', 'kl'],
    ['a:1:5:10', 'fghij'],
    ['b:0:2', 'xy']
  ]
  assert.equal((await verifyModel(model, input(ranged(all)))).model.parts.length, 4)
  for (const [i, wrong] of [
    ['a:1:0:5', 'abcdX'],
    ['a:1:10:13', 'kl'],
    ['a:1:5:9', 'fghi'],
    ['b:0:1', 'x']
  ].entries()) {
    const text = ranged(all.with(i, wrong as [string, string]))
    await assert.rejects(
      verifyModel(model, input(text)),
      e => VeritError.is(e, 'VERIT_MODEL_CHANGED') || VeritError.is(e, 'VERIT_BUNDLE'),
      String(i)
    )
  }
  await assert.rejects(
    verifyModel(model, input(ranged(all.slice(0, 3)))),
    code('VERIT_MODEL_CHANGED', /b was not signed/)
  )
  await assert.rejects(
    verifyModel(model, input(ranged(all.filter((_, i) => i !== 1)))),
    code('VERIT_MODEL_CHANGED', /another content/)
  )
  assert.throws(() => verifyBundle(input(ranged(all.filter((_, i) => i !== 2)))), code('VERIT_BUNDLE', /cover/))
})

test('bundles that say more, less or other than they should are refused', () => {
  const good = JSON.parse(signed(statement({ a: '' }))) as {
    dsseEnvelope: { payload: string; signatures: object[] }
    verificationMaterial: object
  }
  const changed = (change: (b: typeof good & Record<string, unknown>) => void): Buffer => {
    const copy = structuredClone(good)
    change(copy as typeof good & Record<string, unknown>)
    return Buffer.from(JSON.stringify(copy))
  }
  const cases: Buffer[] = [
    changed(b => void (b['mediaType'] = 'application/vnd.dev.sigstore.bundle+json;version=0.1')),
    changed(b => void (b['extra'] = 1)),
    changed(b => void (b.dsseEnvelope.signatures = [])),
    changed(b => void b.dsseEnvelope.signatures.push(b.dsseEnvelope.signatures[0]!)),
    changed(b => void (b.dsseEnvelope.payload += '=')),
    changed(b => void (b.verificationMaterial = {})),
    changed(b => void (b.verificationMaterial = { publicKey: {} })),
    changed(b => void (b.verificationMaterial = { certificate: { rawBytes: 'AAAA' }, tlogEntries: [{}] })),
    changed(b => void (b.verificationMaterial = { x509CertificateChain: { certificates: [{ rawBytes: 'AAAA' }] } })),
    Buffer.from([0xff]),
    Buffer.alloc(0),
    Buffer.alloc((16 << 20) + 1, ' ')
  ]
  for (const bytes of cases) assert.throws(() => parseBundle(bytes, 'x'), code('VERIT_BUNDLE'))
  for (const keyid of [null, '', undefined])
    parseBundle(
      changed(b => void Object.assign(b.dsseEnvelope.signatures[0]!, { keyid })),
      'x'
    )
  parseBundle(
    changed(b => void (b.verificationMaterial = { publicKey: { hint: 'x' } })),
    'x'
  )
})

test(
  'whatever is in a bundle, reading it ends with a bundle or one error; a changed byte never verifies as ' +
    'something else',
  () => {
    const text = signed(statement({ a: '1', 'b/c': '2' }))
    const before = JSON.stringify(verifyBundle(input(text)).model)
    fc.assert(
      fc.property(fc.nat(text.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const bytes = Buffer.from(text)
        bytes[at]! ^= flip
        try {
          assert.equal(JSON.stringify(verifyBundle({ ...input(''), bundle: { bytes, source: 'x' } }).model), before)
        } catch (e) {
          assert.ok(VeritError.is(e), String(e))
        }
      }),
      { numRuns: 500 }
    )
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array(),
          fc.json().map(j => Buffer.from(j))
        ),
        bytes => {
          for (const read of [parseBundle, parseStatement]) assert.throws(() => read(bytes, 'x'), code('VERIT_BUNDLE'))
        }
      )
    )
  }
)

test('what was written is read again, whatever the names', () => {
  const name = fc
    .string({ unit: 'grapheme', minLength: 1, maxLength: 8 })
    .filter(s => !/[/\0]/.test(s) && s !== '.' && s !== '..' && s.isWellFormed())
  const path = fc.array(name, { minLength: 1, maxLength: 3 }).map(parts => parts.join('/'))
  fc.assert(
    fc.property(
      fc.uniqueArray(path, { minLength: 1, maxLength: 20 }),
      fc.string({ minLength: 1 }).filter(s => s.isWellFormed()),
      (paths, model) => {
        const files = paths.map(p => ({ path: p, digest: digestBytes(p).slice(7) }))
        const { name: read, parts } = parseStatement(encodeStatement(model, files, ['cache']), 'x')
        assert.equal(read, model)
        assert.deepEqual(
          parts,
          files.sort((a, b) => byCodePoints(a.path, b.path))
        )
      }
    )
  )
})

test('as many files as are allowed can be signed and read, and no more', () => {
  const many = (n: number): VerifyOptions => {
    const payload = encodeStatement(
      'm',
      Array.from({ length: n }, (_, i) => ({ path: `shard-${i}`, digest: digestBytes(String(i)).slice(7) })),
      []
    )
    return input(
      formatBundle(key.hint, payload, signWith(key.privateKey, key.kind, preAuthEncoding(PAYLOAD_TYPE, payload)))
    )
  }
  assert.equal(verifyBundle(many(10_000)).model.parts.length, 10_000)
  assert.throws(() => verifyBundle(many(10_001)), code('VERIT_BUNDLE'))
})
