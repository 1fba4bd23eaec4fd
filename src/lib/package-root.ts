/**
 * The folder of the package's own files: models, kernels, documents. A bundler moves code away from them; the package
 * is then searched for in the node_modules folders above the bundle.
 */
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

/**
 * URL of the file that this code runs from. A bundle in the CommonJS format has no `import.meta.url`, but a
 * `__filename`.
 */
export const codeUrl: string = import.meta.url ?? pathToFileURL(__filename).href

let found: string | undefined | null = null

/** The folder that holds Verit's package.json. Undefined in a bundle without an installed package above it. */
export function packageRoot(): string | undefined {
  if (found === null) found = rootAbove(codeUrl) ?? installed('verit')
  return found
}

/** The folder of a package as an import from here would resolve it. Undefined if it is not installed. */
export function installed(name: string): string | undefined {
  try {
    return dirname(createRequire(codeUrl).resolve(`${name}/package.json`))
  } catch {
    return undefined
  }
}

/** Whether the sources themselves run, as in a checkout. */
export const runsFromSource: boolean = codeUrl.endsWith('.ts')

/** src/lib/ and dist/lib/ are two levels below the root. In a bundle, that folder belongs to someone else. */
function rootAbove(url: string): string | undefined {
  const root = fileURLToPath(new URL('../..', url))
  const path = join(root, 'package.json')
  if (!existsSync(path)) return undefined
  try {
    return (JSON.parse(readFileSync(path, 'utf8')) as { name?: unknown } | null)?.name === 'verit' ? root : undefined
  } catch {
    return undefined
  }
}
