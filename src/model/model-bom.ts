/**
 * The bill of materials of a model (an ML-BOM: CycloneDX 1.6, component type machine-learning-model): digest, content
 * and origin of the file, from a training record that belongs to it, or from the digest of its data in the file. Texts
 * of the file are escaped, because a bill is read on terminals.
 */
import { hash } from 'node:crypto'
import type { GgufHeader } from '../formats/gguf-header.ts'
import type { GgufValue } from '../formats/gguf-value.ts'
import { formatBom } from '../lib/cyclonedx.ts'
import type { Component, License, Property } from '../lib/cyclonedx.ts'
import { printable } from '../lib/printable.ts'
import { VERSION } from '../lib/version.ts'
import { isDigest } from '../trust/digest.ts'
import type { Digest } from '../trust/digest.ts'

/** Facts of a training record that belongs to the file. Digests as `sha256:...`. */
export interface Origin {
  readonly record: Digest
  readonly dataset: Digest
  readonly tokenizer: Digest
  readonly trainTokens: number
  /** On held-out text, in nats for each token. */
  readonly validationLoss: number | undefined
}

export interface BomModel extends Pick<GgufHeader, 'metadata' | 'tensors'> {
  /** File name, which names the model where its metadata does not. */
  readonly file: string
  readonly bytes: number
  readonly digest: Digest
  readonly origin?: Origin
}

const LONGEST = 200
const sha256 = (digest: Digest): NonNullable<Component['hashes']> => [{ alg: 'SHA-256', content: digest.slice(7) }]

export function modelBom(model: BomModel): string {
  const { metadata, digest, origin } = model
  const text = (key: string): string | undefined => {
    const v = metadata.entries.get(key)
    return v?.type === 'string' && v.value !== '' ? printable(v.value, LONGEST) : undefined
  }
  const parts: Component[] = []
  const tokenizer = tokenizerDigest(metadata.entries)
  if (tokenizer !== undefined) {
    const kind = text('tokenizer.ggml.model')
    parts.push({
      type: 'data',
      'bom-ref': `tokenizer:${tokenizer}`,
      name: 'tokenizer',
      ...(kind !== undefined && { description: kind }),
      hashes: sha256(tokenizer)
    })
  }
  const dataset = origin?.dataset ?? datasetOf(metadata.entries)
  if (dataset !== undefined) {
    const properties =
      origin === undefined
        ? [{ name: 'verit:said-by', value: 'verit.dataset of the model file' }]
        : [
            { name: 'verit:train-tokens', value: String(origin.trainTokens) },
            { name: 'verit:tokenizer-file', value: origin.tokenizer }
          ]
    parts.push({
      type: 'data',
      'bom-ref': `dataset:${dataset}`,
      name: 'dataset',
      description: 'the manifest of the training data (verit prepare)',
      hashes: sha256(dataset),
      properties
    })
  }
  const [description, version] = [text('general.description'), text('general.version')]
  const licenses = licensesOf(text)
  const ancestors = baseModels(metadata.entries, text)
  const subject: Component = {
    type: 'machine-learning-model',
    'bom-ref': digest,
    name: text('general.name') ?? printable(model.file, LONGEST),
    ...(version !== undefined && { version }),
    ...(description !== undefined && { description }),
    hashes: sha256(digest),
    ...(licenses.length > 0 && { licenses }),
    ...(ancestors.length > 0 && { pedigree: { ancestors } }),
    modelCard: card(text('general.architecture'), dataset, origin),
    properties: properties(model)
  }
  return formatBom({
    subject,
    components: parts,
    tool: { name: 'verit', version: VERSION },
    dependencies: [
      { ref: digest, dependsOn: parts.map(p => p['bom-ref']) },
      ...parts.map(p => ({ ref: p['bom-ref'], dependsOn: [] }))
    ]
  })
}

type Text = (key: string) => string | undefined

/** The licence in the file: an identifier (`general.license`), or a name and a link of another licence. */
function licensesOf(text: Text): License[] {
  const name = text('general.license.name') ?? text('general.license')
  if (name === undefined) return []
  const url = webAddress(text('general.license.link'))
  return [{ license: { name, ...(url !== undefined && { url }) } }]
}

/** Base models in the file (`general.base_model.N.*`). */
function baseModels(entries: ReadonlyMap<string, GgufValue>, text: Text): Omit<Component, 'bom-ref'>[] {
  const { value: claimed } = entries.get('general.base_model.count') ?? { value: 0 }
  const count = Math.min(Number(claimed) || 0, MOST_BASE_MODELS)
  return Array.from({ length: count }, (_, i) => i).flatMap(i => {
    const field = (name: string): string | undefined => text(`general.base_model.${i}.${name}`)
    const name = field('name')
    if (name === undefined) return []
    const [version, organization, url] = [field('version'), field('organization'), webAddress(field('repo_url'))]
    return [
      {
        type: 'machine-learning-model' as const,
        name,
        ...(version !== undefined && { version }),
        ...(organization !== undefined && { description: `by ${organization}` }),
        ...(url !== undefined && { externalReferences: [{ type: 'distribution' as const, url }] })
      }
    ]
  })
}

/** More are an attempt to make the bill long. */
const MOST_BASE_MODELS = 16

/** An address of the file that is safe to put where tools make links. */
function webAddress(text: string | undefined): string | undefined {
  if (text === undefined || !URL.canParse(text)) return undefined
  const { protocol, username, password, href } = new URL(text)
  return protocol === 'https:' && username === '' && password === '' ? href : undefined
}

function card(architecture: string | undefined, dataset: Digest | undefined, origin: Origin | undefined): object {
  return {
    modelParameters: {
      ...(origin !== undefined && { approach: { type: 'self-supervised' } }),
      task: 'text-generation',
      architectureFamily: 'transformer',
      ...(architecture !== undefined && { modelArchitecture: architecture }),
      ...(dataset !== undefined && { datasets: [{ ref: `dataset:${dataset}` }] }),
      inputs: [{ format: 'text' }],
      outputs: [{ format: 'text' }]
    },
    ...(origin?.validationLoss !== undefined && {
      quantitativeAnalysis: {
        performanceMetrics: [
          { type: 'cross-entropy, nats for each token', value: String(origin.validationLoss), slice: 'held-out text' }
        ]
      }
    })
  }
}

/** The data of a file that `verit train` wrote; only a digest counts. */
function datasetOf(entries: ReadonlyMap<string, GgufValue>): Digest | undefined {
  const v = entries.get('verit.dataset')
  return v?.type === 'string' && isDigest(v.value) ? v.value : undefined
}

/** Numbers of tensors and elements of each type: the quantisation. */
function properties({ file, bytes, tensors, origin }: BomModel): Property[] {
  const types = new Map<string, { count: number; elements: number }>()
  for (const t of tensors) {
    const sum = types.get(t.type) ?? { count: 0, elements: 0 }
    types.set(t.type, { count: sum.count + 1, elements: sum.elements + t.elements })
  }
  const list: [string, string | number][] = [
    ['file', printable(file, LONGEST)],
    ['bytes', bytes],
    ['format', 'gguf'],
    ['parameters', tensors.reduce((n, t) => n + t.elements, 0)],
    ...[...types]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([type, { count, elements }]): [string, string] => [
        `tensors:${type}`,
        `${count} tensors, ${elements} elements`
      ]),
    ...(origin === undefined ? [] : [['training-record', origin.record] as [string, string]])
  ]
  return list.map(([name, value]) => ({ name: `verit:${name}`, value: String(value) }))
}

/**
 * SHA-256 of the tokenizer metadata: for each key under `tokenizer.`, in order, the line that JSON gives for [key,
 * type, value], 64-bit integers as decimal text. Undefined without such keys.
 */
export function tokenizerDigest(entries: ReadonlyMap<string, GgufValue>): Digest | undefined {
  const keys = [...entries.keys()].filter(key => key.startsWith('tokenizer.')).sort()
  if (keys.length === 0) return undefined
  const line = (key: string): string => {
    const v = entries.get(key)!
    const [type, value] = v.type === 'array' ? [`${v.of}[]`, Array.from<unknown>(v.value)] : [v.type, v.value]
    return `${JSON.stringify([key, type, value], (_, x: unknown) => (typeof x === 'bigint' ? x.toString() : x))}\n`
  }
  return `sha256:${hash('sha256', keys.map(line).join(''))}`
}
