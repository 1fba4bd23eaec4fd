import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { newTextsKey } from '../audit/sealed-texts.ts'
import { VeritError } from '../lib/errors.ts'
import { defaultConfig } from './config.ts'
import { checkTogether } from './config-checks.ts'
import { settings, valueProblem } from './config-fields.ts'
import type { Setting } from './config-fields.ts'
import { formatConfig, loadConfig, parseConfig, valueOf } from './config-file.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-config-'))
after(() => rmSync(dir, { recursive: true }))
const write = (name: string, text: string | Uint8Array, mode = 0o600): string => {
  const path = join(dir, name)
  writeFileSync(path, text)
  chmodSync(path, mode)
  return path
}
const refused =
  (pattern: RegExp) =>
  (e: unknown): boolean =>
    VeritError.is(e, 'VERIT_CONFIG') && e.exit === 2 && pattern.test(e.what)

test('an empty file is the default configuration, and every default is acceptable', () => {
  assert.deepEqual(parseConfig('', 'x'), defaultConfig())
  for (const s of settings) assert.equal(valueProblem(s, s.schema.default), undefined, s.name)
  assert.notEqual(
    defaultConfig().listen.allowHosts,
    defaultConfig().listen.allowHosts,
    'no two configurations share a list'
  )
})

/** Any value that a setting takes, of those that need nothing else. */
const anyValue = (s: Setting): fc.Arbitrary<unknown> => {
  const { schema } = s
  if (schema.type === 'integer')
    return fc.oneof(
      fc.constantFrom(schema.minimum!, schema.maximum!),
      fc.integer({ min: schema.minimum!, max: schema.maximum! })
    )
  if (schema.type === 'boolean') return fc.boolean()
  if (schema.anyOf !== undefined) return fc.constantFrom(...schema.anyOf.map(c => c.const))
  if (s.name === 'listen.trusted_proxies') return fc.array(fc.oneof(fc.ipV4(), fc.ipV6()), { maxLength: 4 })
  if (s.name === 'security_txt.contact') return fc.array(fc.webUrl({ validSchemes: ['https'] }), { maxLength: 3 })
  return fc.constant(schema.default)
}

test('what --print-config prints is read as the same configuration', () => {
  fc.assert(
    fc.property(fc.tuple(...settings.map(anyValue)), values => {
      const config = defaultConfig()
      for (const [i, s] of settings.entries())
        (config as unknown as Record<string, Record<string, unknown>>)[s.section]![s.key] = values[i]
      try {
        checkTogether(config, 'x')
      } catch {
        return
      }
      assert.deepEqual(parseConfig(formatConfig(config), 'x'), config)
    })
  )
})

test('numbers are accepted to their limits and not beyond, for every setting', () => {
  for (const s of settings.filter(s => s.schema.type === 'integer')) {
    const { minimum = 0, maximum = 0 } = s.schema
    for (const value of [minimum, maximum]) assert.equal(valueProblem(s, value), undefined, s.name)
    for (const value of [minimum - 1, maximum + 1, minimum + 0.5, Number.NaN, Infinity, String(minimum), true, null]) {
      assert.match(valueProblem(s, value) ?? '', /must be a whole number from [\d,]+ to/, `${s.name} ${value}`)
    }
  }
})

test('a wrong name is refused with the one that was probably meant', () => {
  for (const [text, pattern] of [
    ['[listn]', /^x: listn is not a section; perhaps listen is meant$/],
    ['[listen]\nprot = 1', /^x: listen.prot is not a setting; perhaps port is meant$/],
    ['[listen]\ntlsCert = "a"', /listen\.tlsCert is not a setting; perhaps tls_cert is meant/],
    ['port = 1', /perhaps listen\.port is meant/],
    ['[http]\nport = 1', /http\.port is not a setting; perhaps listen\.port is meant/],
    ['[zzz]', /zzz is not a section$/],
    ['[__proto__]\nport = 1', /__proto__ is not a section/],
    ['[listen]\nconstructor = 1', /not a setting$/],
    ['[listen.port]\nx = 1', /must be a whole number/],
    ['listen = 1', /must be a section: a line \[listen\]/],
    ['[[listen]]\nport = 1', /must be a section/],
    ['[listen]\n"\\u001b[2J" = 1', /\\u\{1b\}/],
    ['[listen]\ndatabase_url = "postgres://a:secret@b/c"', /holds a secret: set VERIT_DATABASE_URL/],
    ['[watch]\nwebhook_secret = "x"', /VERIT_WEBHOOK_SECRET/]
  ] as const) {
    assert.throws(() => parseConfig(text, 'x'), refused(pattern), text)
  }
})

test('what is not TOML is refused with its line, and without the text of the line', () => {
  for (const text of [
    '[listen]\nport = ',
    '[listen]\nport = 1\nport = 2',
    '[listen',
    'password hunter2',
    `a = ${'['.repeat(5000)}`,
    '[listen]\nport = 99999999999999999999'
  ]) {
    assert.throws(
      () => parseConfig(text, 'x'),
      (e: unknown) => refused(/^x: line \d+ is not TOML: /)(e) && !/hunter2/.test((e as Error).message),
      text.slice(0, 40)
    )
  }
})

test('addresses, names, origins and the like are checked to the letter', () => {
  const cases: [string, string[], string[]][] = [
    [
      'listen.allow_hosts',
      ['gpu1', 'gpu1.example', 'a_b.c'],
      ['https://a', 'a:80', 'a/', '.a', 'a..b', '*', 'a b', '[::1]', '*.example']
    ],
    [
      'listen.allow_origins',
      ['https://app.example', 'http://localhost:3000'],
      ['https://app.example/', 'app.example', '*', 'null', 'https://APP.example', 'ftp://a', 'https://a:443']
    ],
    [
      'listen.trusted_proxies',
      ['10.0.0.1', '10.0.0.0/8', '2001:db8::/32'],
      ['0.0.0.0/0', '::/0', '10.0.0.0/33', 'proxy', '10.0.0']
    ],
    [
      'listen.host',
      ['0.0.0.0', '::', 'localhost', 'fe80::1%eth0', 'gpu1.example'],
      ['[::]', 'a:80', 'http://a', ' ', '*']
    ],
    [
      'watch.webhook_url',
      ['', 'https://a/b?c', 'http://127.0.0.1:9/x', 'http://localhost/', 'http://[::1]/'],
      [
        'http://a.example/',
        'http://127.0.0.1.evil.example/',
        'ftp://a',
        'a',
        'https://u:p@a/',
        'file:///etc/passwd',
        'https://a /'
      ]
    ],
    [
      'security_txt.contact',
      ['mailto:a@b.example', 'https://a/', 'tel:+1-201-555-0123'],
      ['a@b.example', 'http://a/', 'mailto:a@b\r\nExpires: never', '']
    ],
    ['security_txt.policy', ['', 'https://a/p'], ['http://a/p', 'p']],
    [
      'security_txt.expires',
      ['', '2027-01-01T00:00:00Z', '2027-01-01T00:00+02:00'],
      ['2027-01-01', 'soon', '2027-13-01T00:00:00Z', '1767225600']
    ],
    ['audit.origin', ['', 'verit.example/gpu1'], ['a b', 'a+b', 'ä', 'a\n']],
    ['signing.responses', ['signed', 'all', 'none'], ['', 'some']],
    ['inference.cores', ['', '0', '0-3,5'], ['all', '1-0', '0, 1', '0;1', '8192']],
    ['inference.packing', ['auto', 'base3', 'two-bit'], ['', 'base2']],
    ['inference.instruction_set', ['auto', 'avx512', 'avx2vnni', 'neondot', 'neon', 'reference'], ['', 'mmx']]
  ]
  for (const [name, good, bad] of cases) {
    const s = settings.find(s => s.name === name)!
    const wrap = (v: string): unknown => (s.schema.type === 'array' ? [v] : v)
    for (const v of good) assert.equal(valueProblem(s, wrap(v)), undefined, `${name} ${v}`)
    for (const v of bad) assert.equal(typeof valueProblem(s, wrap(v)), 'string', `${name} ${v}`)
  }
})

test('settings that contradict one another are refused', () => {
  const soon = (days: number): string => new Date(Date.now() + days * 86_400_000).toISOString()
  for (const [text, pattern] of [
    ['[listen]\ntls_cert = "a"', /listen\.tls_key is missing/],
    ['[listen]\ntls_key = "a"', /listen\.tls_cert is missing/],
    ['[listen]\ntls_client_ca = "a"', /tls_client_ca needs/],
    ['[listen]\ntls_client_required = true', /needs listen\.tls_client_ca/],
    ['[keys]\ntokens_per_day = 2\ntokens_per_month = 1', /tokens_per_day must not be more/],
    ['[inference]\ncontext = 4\nprompt_tokens = 5', /prompt_tokens must not be more/],
    [`[security_txt]\nexpires = "${soon(-1)}"`, /lies in the past/],
    [`[security_txt]\nexpires = "${soon(400)}"`, /more than a year/],
    ['[audit]\nenabled = false\ntexts_key = "a"', /needs audit\.enabled/]
  ] as const) {
    assert.throws(() => parseConfig(text, 'x'), refused(pattern), text)
  }
  assert.ok(parseConfig(`[security_txt]\nexpires = "${soon(364)}"`, 'x'))
  assert.throws(
    () => parseConfig(`[audit]\ntexts_key = "${join(dir, 'none')}"`, 'x'),
    (e: unknown) => VeritError.is(e, 'VERIT_FILE_NOT_FOUND')
  )
  const { privateKey, publicKey } = newTextsKey()
  for (const [pem, good] of [
    [publicKey, true],
    [privateKey, false],
    ['no key', false]
  ] as const) {
    writeFileSync(join(dir, 'texts.pem'), pem)
    const parse = (): unknown => parseConfig(`[audit]\ntexts_key = "${join(dir, 'texts.pem')}"`, 'x')
    if (good) parse()
    else
      assert.throws(
        parse,
        (e: unknown) => VeritError.is(e, 'VERIT_USAGE'),
        'the private half has no business on the server'
      )
  }
})

test(
  'a file that is none, too large, not UTF-8 or open to others is refused; a link to a good one is followed',
  { skip: process.platform === 'win32' },
  () => {
    const good = write('good.toml', '[listen]\nport = 9\n')
    symlinkSync(good, join(dir, 'link.toml'))
    for (const path of [good, join(dir, 'link.toml'), write('readable.toml', '[listen]\nport = 9\n', 0o644)])
      assert.equal(loadConfig({ file: path }).listen.port, 9)
    mkdirSync(join(dir, 'folder.toml'))
    assert.throws(
      () => loadConfig({ file: join(dir, 'folder.toml') }),
      (e: unknown) => VeritError.is(e, 'VERIT_FILE_KIND')
    )
    assert.throws(
      () => loadConfig({ file: join(dir, 'none.toml') }),
      (e: unknown) => VeritError.is(e, 'VERIT_FILE_NOT_FOUND')
    )
    assert.throws(
      () => loadConfig({ file: '/dev/zero' }),
      (e: unknown) => VeritError.is(e, 'VERIT_FILE_KIND')
    )
    assert.throws(
      () => loadConfig({ file: write('others.toml', '', 0o602) }),
      refused(/can be changed by others \(mode 602\)/)
    )
    assert.throws(() => loadConfig({ file: write('group.toml', '', 0o620) }), refused(/can be changed by others/))
    assert.throws(() => loadConfig({ file: write('latin.toml', Buffer.from([0x23, 0xe4])) }), refused(/is not UTF-8/))
    assert.equal(loadConfig({ file: write('full.toml', `#${'x'.repeat((64 << 10) - 1)}`) }).listen.port, 8081)
    assert.throws(
      () => loadConfig({ file: write('large.toml', `#${'x'.repeat(64 << 10)}`) }),
      refused(/has 65,537 bytes/)
    )
  }
)

test("flags come after the file, and what no flag says is the file's", () => {
  const file = write('flags.toml', '[listen]\nport = 9\nhost = "::1"\nallow_hosts = ["a"]\n')
  const config = loadConfig({
    file,
    flags: { 'listen.port': 10, 'listen.host': undefined, 'listen.allow_hosts': ['b', 'c'], 'keys.streams': 3 }
  })
  assert.deepEqual(
    [config.listen.port, config.listen.host, config.listen.allowHosts, config.keys.streams],
    [10, '::1', ['b', 'c'], 3]
  )
  assert.throws(() => loadConfig({ file, flags: { 'listen.port': 65_536 } }), refused(/^command line: listen\.port/))
  assert.equal(
    valueOf(
      config,
      settings.find(s => s.name === 'listen.port')!
    ),
    10
  )
})

test('the address of a webhook is printed without its path, which often is a secret', () => {
  const text = formatConfig(parseConfig('[watch]\nwebhook_url = "https://hooks.example/T0/secret"', 'x'))
  assert.match(text, /webhook_url = "https:\/\/hooks\.example" # its path is not shown/)
  assert.doesNotMatch(text, /secret"/)
})

test('any text is a configuration or is refused with an error of the table, in one line that is not long', () => {
  const words = [
    '[',
    ']',
    '[[',
    'listen',
    'http',
    'port',
    'allow_hosts',
    '=',
    '\n',
    '"',
    "'",
    '1',
    '-1',
    '1e400',
    'nan',
    '{',
    '}',
    ',',
    '.',
    '#',
    '\\',
    '\0',
    '\x1b',
    '\ud800',
    'true',
    '1979-05-27',
    '0x10',
    '"""'
  ]
  fc.assert(
    fc.property(
      fc.oneof(
        fc.array(fc.constantFrom(...words), { maxLength: 30 }).map(w => w.join('')),
        fc.string({ unit: 'binary' })
      ),
      text => {
        try {
          parseConfig(text, 'x')
        } catch (e) {
          assert.ok(VeritError.is(e, 'VERIT_CONFIG'), String(e))
          assert.ok(e.message.length < 600 && !/\p{Cc}/u.test(e.message), e.message)
        }
      }
    ),
    { numRuns: 2000 }
  )
})
