/**
 * The rules of the house (ARCHITECTURE.md): which folder may import which, how deep folders go, how long a file may be,
 * who may load the addon.
 */
import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))

/**
 * What each folder of src may import besides itself. Imports of types count too: a layer is what one has to understand.
 */
const layers: Record<string, readonly string[]> = {
  lib: [],
  ops: ['lib'],
  exec: ['ops', 'lib'],
  graph: ['exec', 'ops', 'lib'],
  formats: ['lib'],
  weights: ['graph', 'exec', 'ops', 'formats', 'lib'],
  tokenizer: ['lib'],
  trust: ['formats', 'lib'],
  store: ['trust', 'lib'],
  audit: ['trust', 'lib'],
  watch: ['lib'],
  client: ['trust', 'lib'],
  hub: ['trust', 'formats', 'lib'],
  data: ['tokenizer', 'trust', 'lib'],
  arch: ['weights', 'graph', 'ops', 'formats', 'lib'],
  model: ['arch', 'weights', 'graph', 'exec', 'ops', 'formats', 'tokenizer', 'trust', 'lib'],
  eval: ['model', 'arch', 'data', 'tokenizer', 'exec', 'lib'],
  train: ['eval', 'model', 'arch', 'data', 'tokenizer', 'graph', 'exec', 'formats', 'trust', 'lib'],
  sampler: ['ops', 'lib'],
  engine: ['sampler', 'model', 'arch', 'weights', 'graph', 'exec', 'ops', 'formats', 'tokenizer', 'trust', 'lib'],
  bench: ['engine', 'model', 'arch', 'weights', 'exec', 'formats', 'tokenizer', 'lib'],
  // the sandbox's binding is in the addon
  runner: ['engine', 'sampler', 'exec', 'trust', 'lib'],
  // the gateway checks a model's digest, but never parses it
  server: ['runner', 'store', 'audit', 'watch', 'trust', 'lib'],
  doctor: ['server', 'store', 'audit', 'trust', 'runner', 'lib'],
  cli: [
    'server',
    'hub',
    'doctor',
    'client',
    'runner',
    'audit',
    'watch',
    'bench',
    'engine',
    'sampler',
    'train',
    'eval',
    'model',
    'arch',
    'weights',
    'data',
    'tokenizer',
    'formats',
    'store',
    'trust',
    'graph',
    'exec',
    'lib'
  ]
}

const sources = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
  .filter(f => f.endsWith('.ts'))
  .sort()
const isTest = (file: string): boolean => file.endsWith('.test.ts')

test('imports run downwards only', () => {
  const wrong: string[] = []
  for (const file of sources.filter(f => !isTest(f))) {
    const [folder] = file.split('/')
    if (folder === undefined || !(folder in layers)) continue
    for (const [, target] of readFileSync(join(root, 'src', file), 'utf8').matchAll(
      /(?:from|import)\s*\(?\s*'(\.[^']+)'/g
    )) {
      const [to] = relative(join(root, 'src'), join(root, 'src', dirname(file), target!)).split('/')
      if (to !== folder && !layers[folder]!.includes(to!)) wrong.push(`${file} imports ${to}`)
    }
  }
  assert.deepEqual(wrong, [])
})

test('code above the engine depends on its interface, and on no one engine', () => {
  const wrong = sources
    .filter(f => !isTest(f) && !f.startsWith('engine/'))
    .filter(f =>
      /engine\/(verit-engine|load-verit|engines|scheduler|sequence|page-cache)\.ts'/.test(
        readFileSync(join(root, 'src', f), 'utf8')
      )
    )
  assert.deepEqual(wrong, [])
})

test('every folder of src has its layer, and folders are two levels deep', () => {
  const folders = new Set(sources.filter(f => f.includes('/')).map(f => dirname(f)))
  assert.deepEqual(
    [...folders].filter(f => !(f in layers)),
    []
  )
  assert.deepEqual(
    sources.filter(f => !f.includes('/')),
    ['index.ts']
  )
})

test('only exec/native.ts loads the addon, from the files that exec/kernel-files.ts names', () => {
  const using = (pattern: RegExp): string[] =>
    sources.filter(f => !isTest(f) && pattern.test(readFileSync(join(root, 'src', f), 'utf8')))
  // lib/package-root.ts only resolves the folders of installed packages
  assert.deepEqual(using(/createRequire\(/), ['exec/native.ts', 'lib/package-root.ts'])
  assert.deepEqual(using(/\.node\b'/), ['exec/kernel-files.ts'])
  assert.doesNotMatch(readFileSync(join(root, 'src/lib/package-root.ts'), 'utf8'), /createRequire\([^)]*\)\(/)
})

test(
  'no code uses a built-in that the oldest supported Node lacks: the type checker knows only those, and these ' +
    'it cannot tell',
  () => {
    const ours = 'lib/disposable-stack.ts'
    const wrong = sources
      .filter(f => f !== ours)
      .filter(f => {
        const text = readFileSync(join(root, 'src', f), 'utf8')
        return /\bnew (Async)?DisposableStack\b/.test(text)
          ? !/DisposableStack[^\n]* from '[^']*\/disposable-stack\.ts'/.test(text)
          : /\bSuppressedError\b/.test(text)
      })
    assert.deepEqual(wrong, [])
    const { compilerOptions } = JSON.parse(readFileSync(join(root, 'tsconfig.json'), 'utf8')) as {
      compilerOptions: { target: string; lib: string[] }
    }
    assert.equal(compilerOptions.target, 'es2023')
    assert.deepEqual(
      compilerOptions.lib.filter(lib => !/^es20(\d\d)$/.test(lib)),
      ['esnext.iterator', 'esnext.collection', 'esnext.disposable', 'esnext.array']
    )
  }
)

test('no file is over 600 lines and the median is under 150', () => {
  const native = readdirSync(join(root, 'native')).map(f => `../native/${f}`)
  const lengths = [...sources.filter(f => !isTest(f)), ...native].map(f => ({
    f,
    lines: readFileSync(join(root, 'src', f), 'utf8').split('\n').length
  }))
  // The first two are generated, the last is one table.
  const tables = ['tokenizer/unicode-ranges.ts', '../native/ops.gen.h', 'lib/error-table.ts']
  assert.deepEqual(
    lengths.filter(l => l.lines > 600 && !tables.includes(l.f)),
    []
  )
  const sorted = lengths.map(l => l.lines).sort((a, b) => a - b)
  assert.ok(sorted[sorted.length >> 1]! < 150, `the median is ${sorted[sorted.length >> 1]}`)
})

test('no line is longer than 120 characters', () => {
  const native = readdirSync(join(root, 'native')).map(f => `../native/${f}`)
  const long = [...sources.filter(f => !isTest(f)), ...native].flatMap(f =>
    readFileSync(join(root, 'src', f), 'utf8')
      .split('\n')
      .flatMap((line, i) => (line.length > 120 ? [`${f}:${i + 1}`] : []))
  )
  assert.deepEqual(long, [])
})

test('code that can reach a result uses our own functions, not Math.exp and the like', () => {
  const wrong = sources
    .filter(f => !isTest(f) && /^(ops|graph|exec|arch|weights|model|sampler|engine|bench|train|eval)\//.test(f))
    .filter(f =>
      /Math\.(exp|expm1|log|log1p|log2|log10|pow|sin|cos|tan|tanh|sinh|cosh|cbrt|random)\(/.test(
        readFileSync(join(root, 'src', f), 'utf8')
      )
    )
  assert.deepEqual(wrong, [])
})
