/**
 * Makes a release: `node scripts/release.ts --key CURRENT.pem [--key NEXT.pem] [--out FOLDER] [--repository URL]
 * [--builder URI]` packs a clean checkout twice, compares the tarballs byte by byte, and writes them with their signed
 * provenance (TARBALL.intoto.jsonl). Every key given signs. `node scripts/release.ts --verify TARBALL --key
 * RELEASE.pub` says where a tarball came from; it ends with 1 where the tarball is not what was signed.
 * docs/internals/releases.md.
 */
import { execFileSync } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { readStoredAudit } from '../src/doctor/advisories.ts'
import { contactProblem } from '../src/lib/security-contact.ts'
import { publicKeyFromPem, readPrivateModelKey } from '../src/trust/model-key.ts'
import { provenance, sealed, verified } from './provenance.ts'

const KERNELS = 'scripts/kernel-packages.ts'
/** What the build makes, anew for each release. */
const MADE = ['dist', 'prebuilds', 'build/kernel-packages']
/** An audit that is older than this says too little about today. */
const AUDIT_DAYS = 14
const provenancePath = (tarball: string): string => `${tarball}.intoto.jsonl`

interface Options {
  source: string
  out: string
  keys: readonly string[]
  repository?: string | undefined
  builder: string
}

type Git = (...args: string[]) => string

/** @throws Error where the checkout holds anything that is not of the commit and would be packed */
function checkClean(source: string, git: Git): void {
  const changed = git('status', '--porcelain', '--untracked-files=all')
  if (changed !== '')
    throw new Error(`A release is made from a clean checkout. These files differ from the commit:\n${changed}`)
  const { files } = JSON.parse(readFileSync(join(source, 'package.json'), 'utf8')) as { files?: string[] }
  // without that list npm leaves out what git ignores
  if (files === undefined) return
  const excluded = [...MADE, 'node_modules'].map(made => `:(exclude,top)${made}`)
  const ignored = git('ls-files', '--others', '--ignored', '--exclude-standard', '--', ...files, ...excluded)
  if (ignored !== '')
    throw new Error(
      `npm would pack these files, which are not of the commit though git ignores them. Remove them first:\n${ignored}`
    )
}

/**
 * @throws Error where nobody stands behind the release, or nobody has asked for known weaknesses of its dependencies
 */
async function checkPromises(source: string, now: number): Promise<void> {
  const file = 'src/lib/security-contact.ts'
  if (!existsSync(join(source, file))) throw new Error(`A release names a security contact, and there is no ${file}`)
  const { SECURITY_CONTACT } = (await import(pathToFileURL(join(source, file)).href)) as { SECURITY_CONTACT: string }
  const problem = contactProblem(SECURITY_CONTACT)
  if (problem !== undefined)
    throw new Error(
      `A release names a security contact: ${problem}. Set it in ${file}, run \`node scripts/contact.ts\`, and ` +
        'commit both'
    )
  const again = 'Run `node scripts/advisories.ts` and commit its result'
  const audit = readStoredAudit(join(source, 'docs/audit-advisories.json'))
  const days = audit === undefined ? NaN : (now - Date.parse(audit.date)) / 86_400_000
  if (!(days <= AUDIT_DAYS))
    throw new Error(
      'docs/audit-advisories.json is ' +
        `${audit === undefined ? 'missing or unreadable' : `${Math.floor(days)} days old`}. ${again}`
    )
}

/** Builds and packs everything. @returns the tarballs in `folder` */
function pack(source: string, folder: string, git: Git, epoch: string): string[] {
  // What the build makes is made anew: nothing that an earlier build left may get in.
  for (const made of MADE)
    if (existsSync(join(source, made)) && git('ls-files', made) === '') rmSync(join(source, made), { recursive: true })
  mkdirSync(folder)
  const cache = `${folder}-zig`
  const env = { ...process.env, SOURCE_DATE_EPOCH: epoch, ZIG_GLOBAL_CACHE_DIR: cache, ZIG_LOCAL_CACHE_DIR: cache }
  const kernels = existsSync(join(source, KERNELS))
  if (kernels)
    execFileSync(process.execPath, [join(source, KERNELS), '--fresh', '--out', folder], {
      cwd: source,
      stdio: ['ignore', 'ignore', 'inherit'],
      env
    })
  execFileSync('npm', ['pack', '--silent', '--pack-destination', folder], {
    cwd: source,
    stdio: ['ignore', 'ignore', 'inherit'],
    shell: process.platform === 'win32',
    env: { ...env, ...(kernels && { VERIT_KERNELS: join(folder, 'digests.json') }) }
  })
  return readdirSync(folder)
    .filter(f => f.endsWith('.tgz'))
    .toSorted()
    .map(f => join(folder, f))
}

/** @returns the paths of the tarballs */
async function release({ source, out, keys: keyPaths, repository, builder }: Options): Promise<string[]> {
  const keys = keyPaths.map(readPrivateModelKey)
  const git: Git = (...args) => execFileSync('git', args, { cwd: source, encoding: 'utf8' }).trim()
  const started = new Date()
  checkClean(source, git)
  await checkPromises(source, started.getTime())
  const commit = git('rev-parse', 'HEAD')
  const epoch = git('log', '-1', '--format=%ct')
  const work = mkdtempSync(join(tmpdir(), 'verit-release-'))
  try {
    const first = pack(source, join(work, 'first'), git, epoch)
    const second = pack(source, join(work, 'second'), git, epoch)
    const differ = first.filter((path, i) => !readFileSync(path).equals(readFileSync(second[i]!)))
    if (first.length !== second.length || differ.length > 0) {
      throw new Error(
        'Packing the same commit twice gave two different tarballs of ' +
          `${differ.map(path => basename(path)).join(', ')}. Find out what differs`
      )
    }
    const locks = ['package-lock.json', 'tools/zig/package-lock.json'].filter(lock => existsSync(join(source, lock)))
    const npm = execFileSync('npm', ['--version'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      shell: process.platform === 'win32'
    }).trim()
    mkdirSync(out, { recursive: true })
    return first.map(path => {
      const name = basename(path)
      const statement = provenance({
        tarball: { name, bytes: readFileSync(path) },
        command: 'node scripts/release.ts',
        commit,
        repository,
        locks: locks.map(lock => ({ name: lock, bytes: readFileSync(join(source, lock)) })),
        node: process.versions.node,
        npm,
        platform: `${process.platform}-${process.arch}`,
        sourceDateEpoch: Number(epoch),
        builder,
        started,
        finished: new Date()
      })
      copyFileSync(path, join(out, name))
      writeFileSync(provenancePath(join(out, name)), sealed(statement, keys))
      return join(out, name)
    })
  } finally {
    rmSync(work, { recursive: true })
  }
}

function verify(tarball: string, keyPaths: readonly string[]): string {
  const keys = keyPaths.map(path => publicKeyFromPem(readFileSync(path, 'utf8'), path))
  const envelope = readFileSync(provenancePath(tarball), 'utf8')
  const { statement, by } = verified(envelope, keys, { name: basename(tarball), bytes: readFileSync(tarball) })
  const { predicate, subject } = statement
  const {
    externalParameters: { commit, command, repository },
    internalParameters: { node, npm }
  } = predicate.buildDefinition
  return (
    `${tarball} is what was signed.\n  sha256 ${subject[0]!.digest.sha256}\n  commit ` +
    `${commit}${repository === undefined ? '' : ` of ${repository}`}\n` +
    `  made with ${command} (npm ${npm}, Node ${node}) by ${predicate.runDetails.builder.id}, ` +
    `${predicate.runDetails.metadata.finishedOn}\n` +
    by.map(key => `  signed by the key ${key.hint}\n`).join('')
  )
}

const { values } = parseArgs({
  options: {
    source: { type: 'string', default: fileURLToPath(new URL('..', import.meta.url)) },
    out: { type: 'string', default: 'release' },
    key: { type: 'string', multiple: true, default: [] },
    verify: { type: 'string' },
    repository: { type: 'string' },
    builder: { type: 'string', default: 'urn:verit:maintainer' }
  }
})
try {
  const { key: keys, verify: tarball, source, ...options } = values
  if (keys.length === 0) {
    throw new Error(
      'usage: node scripts/release.ts --key CURRENT.pem [--key NEXT.pem] [--out FOLDER] [--repository URL] ' +
        '[--builder URI], or --verify TARBALL --key RELEASE.pub'
    )
  }
  process.stdout.write(
    tarball === undefined
      ? `${(await release({ ...options, source: resolve(source), keys })).join('\n')}\n`
      : verify(tarball, keys)
  )
} catch (e) {
  process.stderr.write(`${(e as Error).message}\n`)
  process.exitCode = 1
}
