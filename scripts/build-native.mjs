/**
 * Builds native/ into one N-API file, build/<platform>-<arch>/verit.node, with the system's C compiler, or with zig
 * from npm where there is none. node scripts/build-native.mjs [--if-stale] [--optional] [--prebuild]
 * [--sanitize|--fuzz] [--target TARGET] [--compiler CMD] It runs in a checkout and in an installed package. --target:
 * linux-x64, linux-arm64, darwin-x64, darwin-arm64, win32-x64 (default: this machine).
 * --if-stale: does nothing when sources and compiler are those of the last build. --optional: a failure is a warning
 * (the slow executor serves).
 * --prebuild: writes to prebuilds/, the folder that the package ships. --sanitize: with AddressSanitizer and UBSan, for
 * tests in a copy of the sources (`LD_PRELOAD=$(cc -print-file-name=libasan.so) ASAN_OPTIONS=detect_leaks=0 node --test
 * test/native.test.ts`); the next --if-stale builds anew.
 * --fuzz: with clang, build/fuzz-native/fuzz-native instead, which scripts/fuzz-native.ts runs. Plain JavaScript, so
 * that it runs before anything else is there.
 */
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { availableParallelism } from 'node:os'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync
} from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const argument = name => (process.argv.includes(name) ? process.argv[process.argv.indexOf(name) + 1] : undefined)
const flag = name => process.argv.includes(name)
const here = `${process.platform}-${process.arch}`
const target = argument('--target') ?? here
const fuzz = flag('--fuzz')
const fuzzer = join(root, 'scripts/fuzz-native.c')

/** glibc 2.28 is that of Debian 10 and RHEL 8, and the oldest that Node's own builds run on. */
const ZIG_TARGETS = {
  'linux-x64': 'x86_64-linux-gnu.2.28',
  'linux-arm64': 'aarch64-linux-gnu.2.28',
  'darwin-x64': 'x86_64-macos',
  'darwin-arm64': 'aarch64-macos',
  'win32-x64': 'x86_64-windows-gnu'
}
/** Of simd_portable.h: only functions that are inlined take vectors, so their ABI does not matter. */
const PORTABLE = ['-Wno-psabi']
/** [name, macro, flags of gcc and clang, cpu of zig] of each instruction set that kernels.c is compiled for. */
const SETS = {
  x64: [
    ['avx512', 'VERIT_AVX512', ['-march=x86-64-v4', '-mavx512vnni'], 'x86_64_v4+avx512vnni'],
    ['avx2vnni', 'VERIT_AVX2VNNI', ['-march=x86-64-v3', '-mavxvnni'], 'x86_64_v3+avxvnni'],
    ['avx2', 'VERIT_AVX2', ['-march=x86-64-v3'], 'x86_64_v3'],
    ['baseline', 'VERIT_BASELINE', PORTABLE]
  ],
  arm64: [
    ['neondot', 'VERIT_NEONDOT', ['-march=armv8.2-a+dotprod'], 'generic+dotprod'],
    ['neon', 'VERIT_NEON', []],
    ['baseline', 'VERIT_BASELINE', PORTABLE]
  ]
}

const works = command => spawnSync(command[0], [...command.slice(1), '--version'], { stdio: 'ignore' }).status === 0

/** zig from npm, installed only when it is needed, pinned by tools/zig/package-lock.json. */
function zig() {
  if (!existsSync(join(root, 'tools/zig/package.json')))
    throw new Error('there is no C compiler: install gcc or clang, and run this again')
  const bin = join(root, 'tools/zig/node_modules/.bin/zig')
  if (!existsSync(bin)) {
    const missed = join(root, 'build/zig-not-installed')
    // before each `npm start` there is no waiting for a network that was not there the first time
    const again = ['prestart', 'pretest', 'preverit'].includes(process.env.npm_lifecycle_event) && existsSync(missed)
    if (again)
      throw new Error('no C compiler, and zig could not be installed from npm before (`npm run native` tries again)')
    process.stderr.write('verit: no C compiler that works; fetching zig from npm once (about 60 MB)\n')
    const args = [
      'ci',
      '--no-audit',
      '--no-fund',
      '--silent',
      '--fetch-retries=1',
      '--fetch-retry-mintimeout=1000',
      '--fetch-timeout=60000'
    ]
    const r = spawnSync('npm', args, { cwd: join(root, 'tools/zig'), stdio: ['ignore', 'inherit', 'inherit'] })
    if (r.status !== 0) {
      mkdirSync(dirname(missed), { recursive: true })
      writeFileSync(missed, '')
      throw new Error('no C compiler, and zig could not be installed from npm')
    }
    rmSync(missed, { force: true })
  }
  return [bin, 'cc']
}

function compiler() {
  const wanted = argument('--compiler') ?? process.env.CC
  if (fuzz) {
    const clang = (wanted ?? 'clang').split(' ')
    if (!works(clang))
      throw new Error(
        'fuzzing needs clang with libFuzzer (Debian and Ubuntu: apt-get install clang), or --compiler CMD'
      )
    return clang
  }
  if (wanted === 'zig' || target !== here) return zig()
  for (const command of wanted ? [wanted.split(' ')] : [['cc'], ['gcc'], ['clang']]) if (works(command)) return command
  return zig()
}

function sources() {
  const dir = join(root, 'native')
  return readdirSync(dir)
    .filter(f => /\.[ch]$/.test(f))
    .sort()
    .map(f => join(dir, f))
}

const isCurrent = (file, stamp) =>
  existsSync(file) && existsSync(`${file}.stamp`) && readFileSync(`${file}.stamp`, 'utf8') === stamp

async function build() {
  const [platform, arch] = target.split('-')
  const sets = SETS[arch]
  if (!sets || !(target in ZIG_TARGETS)) throw new Error(`no native build for ${target}; the reference executor serves`)
  const [folder, other] = flag('--prebuild') ? ['prebuilds', 'build'] : ['build', 'prebuilds']
  const out = fuzz ? join(root, 'build/fuzz-native') : join(root, folder, target)
  const file = join(out, fuzz ? 'fuzz-native' : 'verit.node')
  const hash = createHash('sha256').update(
    `${target} ${argument('--compiler') ?? process.env.CC ?? ''}${flag('--sanitize') ? ' sanitize' : ''}`
  )
  for (const f of [...sources(), ...(fuzz ? [fuzzer] : []), fileURLToPath(import.meta.url)])
    hash.update(readFileSync(f))
  const stamp = hash.digest('hex')
  if (flag('--if-stale') && isCurrent(file, stamp)) return
  const twin = join(root, other, target, 'verit.node')
  if (flag('--if-stale') && !fuzz && isCurrent(twin, stamp)) {
    mkdirSync(out, { recursive: true })
    for (const end of ['', '.stamp']) copyFileSync(`${twin}${end}`, `${file}${end}`)
    return
  }
  const cc = compiler()
  try {
    await buildWith(cc, { platform, arch, sets, out, file, stamp })
  } catch (e) {
    // a compiler without its headers, say
    if (fuzz || cc[0].endsWith('zig') || argument('--compiler') || process.env.CC) throw e
    process.stderr.write(
      `verit: ${cc.join(' ')} cannot build the kernels (${firstLine(e.message)}); trying zig from npm\n`
    )
    await buildWith(zig(), { platform, arch, sets, out, file, stamp })
  }
}

/** The headers of N-API: the package's own, or those of a package for development. */
function nodeHeaders() {
  const own = join(root, 'dist/node-api')
  const checkout = existsSync(join(root, 'src'))
  return !checkout && existsSync(own)
    ? own
    : join(dirname(createRequire(import.meta.url).resolve('node-api-headers/package.json')), 'include')
}

/** Windows finds the functions of a program by a library of their names. Returns its path. */
async function windowsImports(zigCommand, work, run) {
  const names = join(
    dirname(createRequire(import.meta.url).resolve('node-api-headers/package.json')),
    'def/node_api.def'
  )
  const library = join(work, 'node_api.lib')
  await run([zigCommand[0], 'dlltool', '-m', 'i386:x86-64', '-D', 'node.exe', '-d', names, '-l', library])
  return library
}

/**
 * The same sources give the same bytes: the linker writes the time into a PE file's header (8 bytes behind its
 * signature).
 */
function clearLinkTime(file) {
  const bytes = readFileSync(file)
  bytes.writeUInt32LE(0, bytes.readUInt32LE(0x3c) + 8)
  writeFileSync(file, bytes)
}

function linkFlags(platform, sanitize) {
  if (fuzz) return ['-fsanitize=fuzzer,address,undefined', '-lpthread', '-lm']
  const strip = platform === 'darwin' ? '-Wl,-S' : '-Wl,-s' // Apple's linker calls -s obsolete
  const stripped = flag('--symbols') || flag('--sanitize') ? [] : [strip]
  // Node's own symbols are found when the file is loaded. Without a name, the linker writes the path of the output into
  // the file.
  if (platform === 'darwin')
    return ['-shared', '-Wl,-undefined,dynamic_lookup', '-Wl,-install_name,@rpath/verit.node', ...stripped]
  return ['-shared', '-lpthread', '-lm', ...sanitize, ...stripped]
}

const firstLine = text => (text.split('\n').find(line => /error/i.test(line)) ?? text).slice(0, 200)

async function buildWith(cc, { platform, arch, sets, out, file, stamp }) {
  const isZig = cc[0].endsWith('zig')
  const began = performance.now()
  process.stderr.write(
    `verit: building the native kernels for ${target}${fuzz ? ', for fuzzing,' : ''} with ` +
      `${isZig ? 'zig cc' : cc.join(' ')}\n`
  )
  const sanitize = fuzz
    ? [
        '-fsanitize=fuzzer-no-link,address,undefined',
        '-fno-sanitize-recover=all',
        '-fno-omit-frame-pointer',
        '-gline-tables-only'
      ]
    : flag('--sanitize')
      ? ['-fsanitize=address,undefined', '-fno-sanitize-recover=undefined', '-fno-omit-frame-pointer', '-g1']
      : []
  const common = [
    '-std=c11',
    fuzz ? '-O1' : '-O3',
    '-fPIC',
    '-ffp-contract=off',
    '-fno-math-errno',
    '-fno-trapping-math',
    '-fvisibility=hidden',
    '-Wall',
    '-Wextra',
    '-D_GNU_SOURCE',
    arch === 'x64' ? '-DHAVE_X86' : '-DHAVE_NEON',
    `-I${nodeHeaders()}`,
    ...sanitize,
    ...(isZig ? ['-target', ZIG_TARGETS[target], '-fno-sanitize=all'] : [])
  ]
  mkdirSync(out, { recursive: true })
  const work = join(out, `.objects-${process.pid}`)
  mkdirSync(work)
  try {
    const jobs = sets.map(([name, macro, flags, cpu]) => [
      `kernels-${name}`,
      'kernels.c',
      [`-D${macro}`, `-DVERIT_ISA=${name}`, ...(isZig && cpu ? [`-mcpu=${cpu}`] : flags)]
    ])
    const plain = ['ops', 'plan', 'pool', ...(fuzz ? [] : ['protect', 'ring', 'sandbox', 'seccomp', 'addon'])]
    for (const f of plain) jobs.push([f, `${f}.c`, []])
    if (fuzz) jobs.push(['fuzz-native', fuzzer, [`-I${join(root, 'native')}`]])
    const run = command =>
      new Promise((done, reject) => {
        const child = spawn(command[0], command.slice(1), { stdio: ['ignore', 'ignore', 'pipe'] })
        let text = ''
        child.stderr.on('data', d => (text += d))
        child.on('error', reject)
        child.on('close', status =>
          status === 0
            ? done(process.stderr.write(text))
            : reject(new Error(text || `${command.slice(0, 2).join(' ')} ended with status ${status}`))
        )
      })
    // the kernels, which are the largest, first; as many at a time as there are processors
    const queue = jobs.map(([name, source, flags]) => [
      ...common,
      ...flags,
      '-c',
      resolve(root, 'native', source),
      '-o',
      join(work, `${name}.o`)
    ])
    await Promise.all(
      Array.from({ length: availableParallelism() }, async () => {
        for (let next = queue.shift(); next; next = queue.shift()) await run([...cc, ...next])
      })
    )
    const objects = jobs.map(([name]) => join(work, `${name}.o`))
    if (platform === 'win32') objects.push(await windowsImports(cc, work, run))
    await run([
      ...cc,
      ...(isZig ? ['-target', ZIG_TARGETS[target]] : []),
      ...objects,
      ...linkFlags(platform, sanitize),
      '-o',
      join(work, 'linked')
    ])
    if (platform === 'win32') clearLinkTime(join(work, 'linked'))
    renameSync(join(work, 'linked'), file)
    writeFileSync(`${file}.stamp`, stamp)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
  process.stderr.write(
    `verit: built ${fuzz ? 'the fuzzer' : target} in ${((performance.now() - began) / 1000).toFixed(1)} s\n`
  )
}

try {
  await build()
} catch (e) {
  process.stderr.write(`verit: the native kernels were not built: ${e.message.trim()}\n`)
  if (flag('--optional'))
    process.stderr.write(
      'verit: everything works without them, but a few hundred times slower (the reference executor)\n'
    )
  else process.exitCode = 1
}
