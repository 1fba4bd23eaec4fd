/**
 * Puts the packages that Verit imports into dist/vendor/, so that an installed Verit needs no other package: what runs
 * is what the lock file holds and the tests have run with. Verit's own modules stay files of their own; only their
 * imports of packages are rewritten. scripts/prepack.ts calls this after the TypeScript compiler.
 */
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative, sep } from 'node:path'
import { build } from 'esbuild-wasm'

/** Optional parts of pg, which it loads only where they are installed. */
const LEFT_OUT = ['pg-native', 'pg-cloudflare']
/**
 * Defines `require` for CommonJS packages, which load Node's modules with it. A user's bundle in the CommonJS format
 * has no `import.meta.url`, but a `__filename`.
 */
const REQUIRE =
  'import { createRequire as veritCreateRequire } from "node:module";\n' +
  'const require = /* @__PURE__ */ veritCreateRequire(import.meta.url ?? __filename);\n'

/** What is imported of a package, by specifier such as `typebox/value`; undefined: everything, by `import()`. */
type Imports = Map<string, Set<string> | undefined>

const STATIC = /^(?:import|export)\s+([^'"]*?)\s*from\s+['"]([^.'"][^'"]*)['"]/gm
const DYNAMIC = /\bimport\(\s*['"]([^.'"][^'"]*)['"]\s*\)/g
const isPackage = (specifier: string): boolean => !specifier.startsWith('node:')

/** @param clause what stands between `import` and `from` */
function namesIn(clause: string): string[] {
  const [, alone = '', braces = ''] = /^([^{]*)(?:\{([^}]*)\})?$/s.exec(clause.trim()) ?? []
  if (alone.includes('*')) throw new Error(`import ${clause}: name what is imported of a package`)
  const named = braces
    .split(',')
    .map(part => part.trim().split(/\s+as\s+/)[0]!)
    .filter(name => name !== '')
  return /\w/.test(alone) ? ['default', ...named] : named
}

/** @param text of a compiled module */
export function packageImports(text: string, into: Imports = new Map()): Imports {
  for (const [, clause, specifier] of text.matchAll(STATIC)) {
    if (!isPackage(specifier!)) continue
    const known = into.get(specifier!)
    if (into.has(specifier!) && known === undefined) continue
    into.set(specifier!, new Set([...(known ?? []), ...namesIn(clause!)]))
  }
  for (const [, specifier] of text.matchAll(DYNAMIC)) if (isPackage(specifier!)) into.set(specifier!, undefined)
  return into
}

/** `@huggingface/jinja` -> huggingface-jinja */
const fileName = (specifier: string): string => specifier.replace(/^@/, '').replaceAll('/', '-')

/** The module that hands on what is imported of a package. */
async function entryText(specifier: string, names: Set<string> | undefined): Promise<string> {
  const all =
    names ??
    Object.keys((await import(specifier)) as object).filter(name => /^[\w$]+$/.test(name) && name !== 'module.exports')
  return `export { ${[...all].toSorted().join(', ')} } from ${JSON.stringify(specifier)}\n`
}

const modulesBelow = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter(f => f.endsWith('.js'))
    .toSorted()
    .map(f => join(folder, f))

/**
 * @param root the checkout
 * @param dist the compiled modules, which are changed
 * @returns places in node_modules of the packages whose code is in dist/vendor/, such as `node_modules/fastify`
 */
export async function bundlePackages(root: string, dist: string): Promise<string[]> {
  const vendor = join(dist, 'vendor')
  const entries = join(root, 'build/vendor-entries')
  for (const folder of [vendor, entries]) rmSync(folder, { recursive: true, force: true })
  const modules = modulesBelow(dist)
  const imports: Imports = new Map()
  for (const file of modules) packageImports(readFileSync(file, 'utf8'), imports)
  mkdirSync(entries, { recursive: true })
  for (const [specifier, names] of imports)
    writeFileSync(join(entries, `${fileName(specifier)}.mjs`), await entryText(specifier, names))

  const result = await build({
    absWorkingDir: root,
    entryPoints: [...imports.keys()].map(s => join(entries, `${fileName(s)}.mjs`)).toSorted(),
    outdir: vendor,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'es2023',
    splitting: true,
    chunkNames: 'shared-[hash]',
    external: LEFT_OUT,
    legalComments: 'none',
    metafile: true,
    logLevel: 'warning'
  })
  for (const file of modulesBelow(vendor)) {
    const text = readFileSync(file, 'utf8')
    if (/\b__require = /.test(text)) writeFileSync(file, `${REQUIRE}${text}`)
  }
  for (const file of modules) {
    const text = readFileSync(file, 'utf8')
    const rewritten = vendored(text, specifier => {
      const path = relative(dirname(file), join(vendor, `${fileName(specifier)}.js`))
        .split(sep)
        .join('/')
      return path.startsWith('.') ? path : `./${path}`
    })
    if (rewritten !== text) writeFileSync(file, rewritten)
  }
  rmSync(entries, { recursive: true })
  return [...new Set(Object.keys(result.metafile.inputs).flatMap(packagePlace))].toSorted()
}

/** The text with every import of a package turned to the file that holds it. */
export function vendored(text: string, pathOf: (specifier: string) => string): string {
  const turned = (whole: string, specifier: string): string => {
    if (!isPackage(specifier)) return whole
    const at = whole.lastIndexOf(specifier)
    return whole.slice(0, at) + pathOf(specifier) + whole.slice(at + specifier.length)
  }
  return text
    .replace(STATIC, (whole, _clause, specifier: string) => turned(whole, specifier))
    .replace(DYNAMIC, (whole, specifier: string) => turned(whole, specifier))
}

/** `node_modules/a/node_modules/@b/c/lib/x.js` -> `node_modules/a/node_modules/@b/c` */
function packagePlace(input: string): string[] {
  const place = /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input)?.[0]
  return place === undefined ? [] : [place]
}
