/**
 * Makes what `npm pack` packs (prepack): compiled modules with the packages they import, the types of the two entry
 * points, kernels, and the bills. By default the kernels of this platform go into the package, which then works on this
 * platform alone. With VERIT_KERNELS=FILE, which scripts/kernel-packages.ts wrote, they are packages of their own. Last
 * of all the packed package.json takes the place of the checkout's.
 */
import { execFileSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { bundlePackages } from './bundle-packages.ts'
import { licenceTexts } from './licence-texts.ts'
import { writePackageFiles } from './package-files.ts'
import { restoreManifest, swapManifest } from './packed-manifest.ts'
import { packageModels, productionPackages, readLock, sbom } from './sbom.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const dist = join(root, 'dist')
/** Modules that a program imports, whose types are shipped. */
const TYPED = ['index.d.ts', 'client/index.d.ts']

const node = (...args: string[]): void =>
  void execFileSync(process.execPath, args, { cwd: root, stdio: ['ignore', 2, 2] })

/**
 * Removes the declarations that the entry points do not reach. @throws Error where one of the others names a package,
 * which nobody would have installed
 */
function keepTypes(): void {
  const reached = new Set<string>()
  const visit = (file: string): void => {
    if (reached.has(file)) return
    reached.add(file)
    const text = readFileSync(file, 'utf8').replaceAll(/\/\*[^]*?\*\//g, '')
    for (const [, specifier] of text.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*['"]([^'"]+)['"]/g)) {
      if (specifier!.startsWith('.')) visit(resolve(dirname(file), specifier!.replace(/\.[jt]s$/, '.d.ts')))
      else if (!specifier!.startsWith('node:'))
        throw new Error(`${relative(root, file)} needs the types of ${specifier}, which is not installed with Verit`)
    }
  }
  for (const entry of TYPED) visit(join(dist, entry))
  for (const file of readdirSync(dist, { recursive: true, encoding: 'utf8' }))
    if (file.endsWith('.d.ts') && !reached.has(join(dist, file))) rmSync(join(dist, file))
}

/** The digests of the platform packages of a release, by platform. */
function releasedKernels(): Record<string, string> | undefined {
  const path = process.env['VERIT_KERNELS']
  return path === undefined ? undefined : (JSON.parse(readFileSync(path, 'utf8')) as Record<string, string>)
}

function copyNodeHeaders(): void {
  const from = join(dirname(createRequire(import.meta.url).resolve('node-api-headers/package.json')), 'include')
  const to = join(dist, 'node-api')
  mkdirSync(to, { recursive: true })
  for (const file of readdirSync(from)) copyFileSync(join(from, file), join(to, file))
}

async function prepack(): Promise<void> {
  restoreManifest(root)
  if (existsSync(dist)) rmSync(dist, { recursive: true })
  node(join(root, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.build.json')
  const lock = readLock()
  const places = await bundlePackages(root, dist)
  const allowed = productionPackages(lock)
  const wrong = places.filter(place => !allowed.has(place))
  if (wrong.length > 0)
    throw new Error(`These packages are for development, and the program imports them: ${wrong.join(', ')}`)
  keepTypes()
  copyNodeHeaders()
  writeFileSync(
    join(dist, 'vendor/LICENSES.txt'),
    licenceTexts(root, lock, [...places, 'node_modules/node-api-headers'])
  )

  const kernels = releasedKernels()
  if (kernels === undefined) node(join(root, 'scripts/build-native.mjs'), '--prebuild', '--if-stale')
  else
    writeFileSync(
      join(dist, 'exec/kernel-digests.js'),
      `/** Written by scripts/prepack.ts. */\nexport const KERNEL_DIGESTS = ${JSON.stringify(kernels, null, 2)};\n`
    )
  const epoch = process.env['SOURCE_DATE_EPOCH']
  writeFileSync(
    join(dist, 'sbom.cdx.json'),
    sbom(lock, packageModels(), epoch === undefined ? undefined : Number(epoch))
  )
  swapManifest(root, kernels === undefined ? undefined : Object.keys(kernels))
  process.stderr.write(`verit: the list of the package's files is ${await writePackageFiles(root)}\n`)
}

try {
  await prepack()
} catch (e) {
  restoreManifest(root)
  process.stderr.write(`verit: the package was not made: ${(e as Error).message}\n`)
  process.exitCode = 1
}
