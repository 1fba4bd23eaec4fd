import assert from 'node:assert/strict'
import { copyFileSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { veritSync } from '../../test/cli.ts'
import { GgufMetadata } from '../formats/gguf-metadata.ts'
import { gguf } from '../formats/gguf-value.ts'
import { modelBom, tokenizerDigest } from '../model/model-bom.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-bom-'))
after(() => rmSync(dir, { recursive: true }))
const models = fileURLToPath(new URL('../../models/', import.meta.url))
const bom = (...args: string[]) => veritSync(['model', 'bom', ...args])

interface Bill {
  bomFormat: string
  specVersion: string
  metadata: {
    component: {
      type: string
      name: string
      hashes: { content: string }[]
      modelCard: { modelParameters: Record<string, unknown> }
      properties: { name: string; value: string }[]
    }
  }
  components: {
    'bom-ref': string
    name: string
    hashes: { content: string }[]
    properties?: { name: string; value: string }[]
  }[]
  dependencies: { ref: string; dependsOn: string[] }[]
}

test('the bill of the default model has its digest, types, tokenizer and the data its record names', () => {
  const path = join(models, 'verit-sotu.gguf')
  const record = JSON.parse(readFileSync(join(models, 'verit-sotu.record.json'), 'utf8')) as {
    model: { sha256: string }
    record: { parameters: number; dataset: { manifest: string } }
  }
  const { stdout, stderr } = bom(path)
  const {
    metadata: { component },
    components,
    dependencies,
    ...head
  } = JSON.parse(stdout) as Bill
  assert.equal(stderr, '')
  assert.deepEqual(
    [head.bomFormat, head.specVersion, component.type, component.name],
    ['CycloneDX', '1.6', 'machine-learning-model', 'verit-sotu']
  )
  assert.equal(`sha256:${component.hashes[0]!.content}`, record.model.sha256)
  assert.deepEqual(
    components.map(c => c.name),
    ['tokenizer', 'dataset']
  )
  assert.equal(`sha256:${components[1]!.hashes[0]!.content}`, record.record.dataset.manifest)
  assert.deepEqual(component.modelCard.modelParameters['datasets'], [{ ref: components[1]!['bom-ref'] }])
  const property = (name: string): string | undefined =>
    component.properties.find(p => p.name === `verit:${name}`)?.value
  assert.equal(property('parameters'), String(record.record.parameters))
  assert.ok(component.properties.some(p => p.name.startsWith('verit:tensors:')))
  assert.deepEqual(
    dependencies[0]!.dependsOn,
    components.map(c => c['bom-ref'])
  )
})

test('a record of another file is left out, and refused where it was named', () => {
  const other = join(dir, 'other.gguf')
  const bytes = readFileSync(join(models, 'verit-sotu.gguf'))
  bytes[bytes.length - 1]! ^= 1
  writeFileSync(other, bytes)
  copyFileSync(join(models, 'verit-sotu.record.json'), join(dir, 'other.record.json'))
  const beside = bom(other, '-o', join(dir, 'bill.json'))
  assert.deepEqual([beside.status, beside.stdout], [0, ''])
  assert.match(beside.stderr, /other\.record\.json belongs to another model file/)
  const { components } = JSON.parse(readFileSync(join(dir, 'bill.json'), 'utf8')) as Bill
  assert.deepEqual(
    components.map(c => c.name),
    ['tokenizer', 'dataset']
  ) // the file itself names its data
  assert.deepEqual(components[1]!.properties, [{ name: 'verit:said-by', value: 'verit.dataset of the model file' }])
  const { record } = JSON.parse(readFileSync(join(dir, 'other.record.json'), 'utf8')) as {
    record: { dataset: { manifest: string } }
  }
  assert.equal(`sha256:${components[1]!.hashes[0]!.content}`, record.dataset.manifest)
  assert.match(bom(other, '-o', join(dir, 'bill.json')).stderr, /VERIT_FILE_EXISTS/)
  assert.equal(bom(other, '-o', join(dir, 'bill.json'), '--force').status, 0)
  assert.equal(bom(other, '--record', join(dir, 'other.record.json')).status, 2)
  const changed = readFileSync(join(models, 'verit-sotu.record.json'), 'utf8').replace('"seed": 1', '"seed": 2')
  writeFileSync(join(dir, 'changed.json'), changed)
  assert.match(bom(join(models, 'verit-sotu.gguf'), '--record', join(dir, 'changed.json')).stderr, /its digest differs/)
})

test('neither a bill nor a signature is written over its model', () => {
  const path = join(dir, 'kept.gguf')
  const key = join(dir, 'key.pem')
  copyFileSync(join(models, 'verit-sotu.gguf'), path)
  symlinkSync(path, join(dir, 'link.gguf'))
  const before = readFileSync(path)
  const model = (...args: string[]) => veritSync(['model', ...args])
  assert.equal(model('keygen', key).status, 0)
  for (const refused of [
    bom(path, '-o', path),
    bom(path, '-o', join(dir, 'link.gguf'), '--force'),
    model('sign', path, '--key', key, '-o', path, '--force')
  ]) {
    assert.match(`${refused.status} ${refused.stderr}`, /^2 .*is the model itself.*--output.*VERIT_USAGE/)
  }
  assert.ok(before.equals(readFileSync(path)))
})

test('texts of a hostile file are escaped, and each value of the tokenizer counts in its digest', () => {
  const entries = new Map([
    ['verit.dataset', gguf.string('sha256:\x1b')],
    ['general.name', gguf.string('a\x1b[2J\u202Eb')],
    ['tokenizer.ggml.model', gguf.string('gpt2')],
    ['tokenizer.ggml.eos_token_id', gguf.u64(2n ** 60n)]
  ])
  const bill = modelBom({
    file: 'x.gguf',
    bytes: 1,
    digest: `sha256:${'0'.repeat(64)}`,
    metadata: new GgufMetadata('x.gguf', entries, new Map()),
    tensors: []
  })
  assert.ok(!bill.includes('dataset'))
  assert.ok(!['\x1b', '\u202E', '\\u001b'].some(raw => bill.includes(raw)))
  const changed = new Map(entries).set('tokenizer.ggml.eos_token_id', gguf.u64(2n ** 60n + 1n))
  assert.notEqual(tokenizerDigest(entries), tokenizerDigest(changed))
  assert.equal(tokenizerDigest(entries), tokenizerDigest(new Map([...entries].reverse())))
  assert.equal(tokenizerDigest(new Map()), undefined)
})

test('the bill names the licence and the base models of the file, as far as they are safe to show', () => {
  const metadata = new GgufMetadata(
    'm.gguf',
    new Map([
      ['general.license', gguf.string('other')],
      ['general.license.name', gguf.string('llama3.2')],
      ['general.license.link', gguf.string('https://example.com/LICENSE')],
      ['general.base_model.count', gguf.u32(3)],
      ['general.base_model.0.name', gguf.string('Base\u001b[31m 1B')],
      ['general.base_model.0.organization', gguf.string('Example')],
      ['general.base_model.0.repo_url', gguf.string('https://example.com/base')],
      ['general.base_model.2.name', gguf.string('Other')],
      ['general.base_model.2.repo_url', gguf.string('javascript:alert(1)')]
    ]),
    new Map()
  )
  const bill = modelBom({ file: 'm.gguf', bytes: 1, digest: `sha256:${'0'.repeat(64)}`, metadata, tensors: [] })
  const { component } = (JSON.parse(bill) as { metadata: { component: Record<string, unknown> } }).metadata
  assert.deepEqual(component['licenses'], [{ license: { name: 'llama3.2', url: 'https://example.com/LICENSE' } }])
  const { ancestors } = component['pedigree'] as { ancestors: { name: string }[] }
  assert.equal(ancestors.length, 2)
  assert.ok(!bill.includes('\u001b') && !bill.includes('javascript:'))
  assert.deepEqual(ancestors[1], { type: 'machine-learning-model', name: 'Other' })
})
