/**
 * Makes a release: `node scripts/release.ts --key RELEASE.pem [--out FOLDER] [--repository URL] [--builder URI]` packs a clean checkout twice, sees that both
 * tarballs are the same bytes, and writes one of them with its signed provenance beside it (TARBALL.intoto.jsonl). `node scripts/release.ts --verify
 * TARBALL --key RELEASE.pub` says where a tarball came from, and ends with 1 where it is not what was signed. docs/releases.md.
 */
import { execFileSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { publicKeyFromPem, readPrivateModelKey } from '../src/trust/model-key.ts'
import { provenance, sealed, verified } from './provenance.ts'

const COMMAND = 'npm pack'
/** What the build makes, anew for each release. */
const MADE = ['dist', 'prebuilds']
const provenancePath = (tarball: string): string => `${tarball}.intoto.jsonl`

interface Options {
  source: string
  out: string
  key: string
  repository?: string | undefined
  builder: string
}

/** @returns the path of the tarball */
function release({ source, out, key: keyPath, repository, builder }: Options): string {
  const key = readPrivateModelKey(keyPath)
  const git = (...args: string[]): string => execFileSync('git', args, { cwd: source, encoding: 'utf8' }).trim()
  const changed = git('status', '--porcelain', '--untracked-files=all')
  if (changed !== '') throw new Error(`A release is made from a clean checkout, and these differ from the commit:\n${changed}`)
  const { files: packed } = JSON.parse(readFileSync(join(source, 'package.json'), 'utf8')) as { files?: string[] }
  // without that list npm leaves out what git ignores
  const ignored = packed === undefined ? '' : git('ls-files', '--others', '--ignored', '--exclude-standard', '--', ...packed, ...[...MADE, 'node_modules'].map(made => `:(exclude,top)${made}`))
  if (ignored !== '') throw new Error(`These would be packed and are not of the commit, though git ignores them: take them away first\n${ignored}`)
  const commit = git('rev-parse', 'HEAD'), epoch = git('log', '-1', '--format=%ct')
  const started = new Date()
  const work = mkdtempSync(join(tmpdir(), 'verit-release-'))
  try {
    const [first, second] = ['first', 'second'].map(name => {
      // What the build makes is made anew: nothing that an earlier build left may get in.
      for (const made of MADE) if (existsSync(join(source, made)) && git('ls-files', made) === '') rmSync(join(source, made), { recursive: true })
      const folder = join(work, name)
      mkdirSync(folder)
      execFileSync('npm', ['pack', '--silent', '--pack-destination', folder], {
        cwd: source, stdio: ['ignore', 'ignore', 'inherit'], env: { ...process.env, SOURCE_DATE_EPOCH: epoch }, shell: process.platform === 'win32',
      })
      return join(folder, readdirSync(folder).find(f => f.endsWith('.tgz'))!)
    }) as [string, string]
    const bytes = readFileSync(first)
    if (!bytes.equals(readFileSync(second))) throw new Error('Packing the same commit twice gave two different tarballs: what makes them differ must go first')
    const lock = join(source, 'package-lock.json'), name = basename(first)
    const statement = provenance({
      tarball: { name, bytes }, command: COMMAND, commit, repository, lockfile: existsSync(lock) ? readFileSync(lock) : undefined, node: process.versions.node,
      npm: execFileSync('npm', ['--version'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], shell: process.platform === 'win32' }).trim(),
      platform: `${process.platform}-${process.arch}`, sourceDateEpoch: Number(epoch), builder, started, finished: new Date(),
    })
    mkdirSync(out, { recursive: true })
    copyFileSync(first, join(out, name))
    writeFileSync(provenancePath(join(out, name)), sealed(statement, key))
    return join(out, name)
  } finally {
    rmSync(work, { recursive: true })
  }
}

function verify(tarball: string, keyPath: string): string {
  const key = publicKeyFromPem(readFileSync(keyPath, 'utf8'), keyPath)
  const { predicate, subject } = verified(readFileSync(provenancePath(tarball), 'utf8'), key, { name: basename(tarball), bytes: readFileSync(tarball) })
  const { externalParameters: { commit, command, repository }, internalParameters: { node, npm } } = predicate.buildDefinition
  return `${tarball} is what was signed.\n  sha256 ${subject[0]!.digest.sha256}\n  commit ${commit}${repository === undefined ? '' : ` of ${repository}`}\n`
    + `  made with ${command} (npm ${npm}, Node ${node}) by ${predicate.runDetails.builder.id}, ${predicate.runDetails.metadata.finishedOn}\n`
}

const { values } = parseArgs({
  options: {
    source: { type: 'string', default: fileURLToPath(new URL('..', import.meta.url)) }, out: { type: 'string', default: 'release' }, key: { type: 'string' },
    verify: { type: 'string' }, repository: { type: 'string' }, builder: { type: 'string', default: 'urn:verit:maintainer' },
  },
})
try {
  const { key, verify: tarball, ...options } = values
  if (key === undefined) throw new Error('usage: node scripts/release.ts --key RELEASE.pem [--out FOLDER] [--repository URL] [--builder URI], or --verify TARBALL --key RELEASE.pub')
  process.stdout.write(tarball === undefined ? `${release({ ...options, key })}\n` : verify(tarball, key))
} catch (e) {
  process.stderr.write(`${(e as Error).message}\n`)
  process.exitCode = 1
}
