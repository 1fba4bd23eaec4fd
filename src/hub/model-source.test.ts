import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { VeritError } from '../lib/errors.ts'
import { parseEndpoint, parseSource } from './model-source.ts'

const hub = parseEndpoint('https://huggingface.co')

test('a source of a hub has one id and one address', () => {
  const s = parseSource('hf:owner/repo.name/folder/a model.gguf', hub)
  assert.deepEqual(
    [s.id, s.url().href, s.url('abc').href, s.file],
    [
      'hf:owner/repo.name@main/folder/a model.gguf',
      'https://huggingface.co/owner/repo.name/resolve/main/folder/a%20model.gguf',
      'https://huggingface.co/owner/repo.name/resolve/abc/folder/a%20model.gguf',
      'a model.gguf'
    ]
  )
  assert.equal(
    parseSource('hf:o/r@refs%2Fpr%2F1/f', hub).url().href,
    'https://huggingface.co/o/r/resolve/refs%2Fpr%2F1/f'
  )
  assert.equal(parseSource('https://EXAMPLE.org:443/a/../m%20x.gguf', hub).id, 'https://example.org/m%20x.gguf')
})

test('what could be read in two ways, hold a secret or leave the repository is refused', () => {
  for (const text of [
    '',
    'model.gguf',
    'hf:',
    'hf:o/r',
    'hf:o/r/',
    'hf:o//f',
    'hf:../r/f',
    'hf:o/../f',
    'hf:o/r/../f',
    'hf:o/r/a/./b',
    'hf:o/r/a//b',
    'hf:o/r@../f',
    'hf:o/r@a..b/f',
    'hf:o/r@/f',
    'hf:o/r/a?b',
    'hf:o/r/a#b',
    'hf:o/r/a\\b',
    'hf:o/r/%2e%2e',
    'hf:o r/x/f',
    'hf:o/r/a\nb',
    'https://example.org/',
    'https://example.org/a?token=1',
    'https://example.org/a?',
    'https://example.org/a#b',
    'https://user@example.org/a',
    'https://u:p@example.org/a',
    'https://@example.org/a',
    'https://good.org\\@example.org/a',
    'https:\\\\example.org\\a',
    ' https://example.org/a',
    'https://example.org/a\tb',
    'https://example.org/%',
    'https://example.org/a%2fb',
    'https://example.org/a%5cb',
    'file:///etc/passwd',
    'data:text/plain,x',
    'gopher://example.org/a',
    'ftp://example.org/a',
    'https://exam\u202eple.org/a'
  ]) {
    assert.throws(() => parseSource(text, hub), { code: 'VERIT_PULL_SOURCE' }, text)
  }
  for (const text of [
    '',
    'huggingface.co',
    'https://huggingface.co/api',
    'https://u@huggingface.co',
    'https://huggingface.co/?x',
    'file:///'
  ])
    assert.throws(() => parseEndpoint(text), { code: 'VERIT_PULL_SOURCE' }, text)
})

test('any text is refused, or gives an address of the hub without query, and a file name without separators', () => {
  fc.assert(
    fc.property(
      fc.string({
        unit: fc.constantFrom('a', '/', '.', '..', '@', '%', '2', 'F', '\\', '?', '#', ':', ' ', '\u0000', 'é')
      }),
      rest => {
        try {
          const s = parseSource(`hf:${rest}`, hub)
          const url = s.url()
          assert.deepEqual([url.origin, url.search, url.hash, url.username], [hub.origin, '', '', ''])
          assert.ok(!/[\\/]/.test(s.file) && !['', '.', '..'].includes(s.file))
          assert.equal(url.pathname.split('/')[3], 'resolve')
          assert.equal(parseSource(s.id, hub).id, s.id)
        } catch (e) {
          assert.ok(VeritError.is(e, 'VERIT_PULL_SOURCE'), String(e))
        }
      }
    ),
    { numRuns: 2000 }
  )
})
