/**
 * Writes docs/evidence/attacks.md: each attack that is known against servers of this kind, what happens here, and the
 * tests that show it, read from their sources: `node scripts/attack-table.ts`. With --check it only says whether the
 * page is current. A test belongs to an attack when its name begins with its id.
 */
import { readFileSync, readdirSync, writeFileSync } from 'node:fs'

const root = new URL('../', import.meta.url)
const file = new URL('docs/evidence/attacks.md', root)

interface Attack {
  readonly id: string
  readonly attack: string
  readonly happens: string
  /**
   * Test files that show it by names of their own, where it is a property of one part rather than of the whole server.
   */
  readonly shownBy: readonly string[]
}
const row = (id: string, attack: string, happens: string, ...shownBy: string[]): Attack => ({
  id,
  attack,
  happens,
  shownBy
})

/** Classes, with what they are about, and their cases. */
export const classes: readonly { title: string; attacks: readonly Attack[] }[] = [
  {
    title: 'A. Model files: the container',
    attacks: [
      row('A1', 'Magic, version 0, 1, of the future, byte-swapped', 'refused at its byte'),
      row(
        'A2',
        'A count of tensors of -1, or huge',
        'refused: compared with the limit and the bytes that exist before anything is made'
      ),
      row('A3', 'A count of metadata entries of -1, or huge', 'refused in the same way'),
      row('A4', 'Key lengths of -1, beyond the file, 0', 'refused'),
      row('A5', 'Unknown value types', 'refused'),
      row('A6', 'A string longer than the file', 'refused before memory is taken'),
      row(
        'A7',
        'Array count times element size that wraps',
        'refused: counts are compared in whole numbers of any size'
      ),
      row('A8', 'Arrays of arrays, deep', 'refused at the first level; nothing recurses'),
      row('A9', 'A key twice', 'refused: no reader has to choose'),
      row('A10', 'Alignment 0, no power of two, of another type', 'refused'),
      row('A11', 'Tensor names too long, twice, with NUL, not UTF-8', 'refused'),
      row('A12', 'Too many dimensions, 0, negative, products that overflow', 'refused'),
      row('A13', 'Rows that are no whole number of blocks', 'refused'),
      row(
        'A14',
        'Unknown tensor types, numbers that mean other things elsewhere',
        'refused, or taken as docs/internals/formats.md says'
      ),
      row(
        'A15',
        'Offsets misaligned, beyond the end, overlapping, wrapping',
        'refused: tensors cover the data exactly'
      ),
      row('A16', 'Sums of padded sizes that wrap', 'refused'),
      row('A17', 'Data cut short, data behind the end', 'refused'),
      row(
        'A18',
        'A million tensors whose names make comparing slow',
        'refused by their number; up to the limit, time grows with the file'
      ),
      row(
        'A19',
        'A file that changes after it was checked',
        'refused when a tensor is read; the digest is taken on the same descriptor'
      ),
      row('A20', 'A part of a split model', 'refused'),
      row('A21', 'A sparse file of exabytes', 'refused unread'),
      row('A22', 'Pipe, device, folder, dangling link', 'refused without waiting; a link to a file is followed')
    ]
  },
  {
    title: 'B. Model files: the content',
    attacks: [
      row(
        'B1',
        'Byte tokens such as signed hexadecimal',
        'refused: a byte is spelled in two upper-case digits, and where there are bytes there are all 256'
      ),
      row('B2', 'A vocabulary of another size than the embedding', 'refused'),
      row('B3', 'Special ids out of range', 'refused, also those that are not used here'),
      row('B4', 'Merges of missing tokens', 'refused'),
      row('B5', 'Head counts of 0, or that do not divide', 'refused'),
      row('B6', 'Absurd contexts, layers, rotary bases', 'refused, or as many positions as are worth their memory'),
      row('B7', 'NaN and infinity in norms, embeddings, scales', 'refused: every value is looked at'),
      row('B8', 'Reserved codes in ternary packings', 'refused'),
      row('B9', 'Missing and additional tensors', 'refused'),
      row(
        'B10',
        'Hyperparameters that no model has, for every architecture',
        'refused by their key, before anything is allocated'
      ),
      row(
        'B11',
        'Rotary divisors and factors that are 0, not finite, or leave the domain of sine',
        'refused by their tensor or key'
      ),
      row(
        'B12',
        'Blocks of every weight format: scales that are NaN or infinite, bytes that do not match the shape',
        'refused by the tensor; zero and subnormal scales are numbers like others'
      ),
      row('B13', 'Expert tensors of other ranks, counts and sizes', 'refused by the tensor')
    ]
  },
  {
    title: 'C. Chat templates',
    attacks: [
      row('C1', 'Walks to constructors and prototypes', 'nothing, or an error of this conversation'),
      row('C2', 'Endless loops, huge ranges', 'stopped after two seconds, ranges at 4,096'),
      row('C3', 'Text and lists that are doubled', 'stopped at 4 Mi characters or 65,536 elements'),
      row('C4', 'Deep nesting', 'an error'),
      row('C5', 'Macros that call themselves', 'an error'),
      row('C6', 'A template in a request', '400: refused field'),
      row('C7', 'Values for the template in a request', "400: refused field; the names are the server's"),
      row('C8', 'Special tokens spelt in texts', 'stay text'),
      row(
        'C9',
        'Another template than the published one',
        'another digest of the model, which every answer and the audit log name'
      )
    ]
  },
  {
    title: 'D. HTTP',
    attacks: [
      row(
        'D1',
        'Request smuggling: two lengths, odd codings, bare CR and LF, folded lines, chunks counted two ways',
        '400, the connection is ended; what follows is never run as a request'
      ),
      row(
        'D2',
        'Huge or many headers, headers named like parts of JavaScript objects',
        '431 or 400 before the key is looked at; memory stays bounded'
      ),
      row(
        'D3',
        'Slow headers, slow bodies, clients that do not read',
        'cut off when their time is up; the place is given back'
      ),
      row(
        'D4',
        'Requests behind one another on a connection, in floods',
        'one at a time, in order, each with its own key; more than 64 end the connection'
      ),
      row(
        'D5',
        'Expect, Upgrade, CONNECT, Connection naming other headers',
        '"continue" only after the key was checked, other expectations 417; upgrades are ignored; all else 400'
      ),
      row(
        'D6',
        'Other methods, TRACE, headers that override method or address',
        '4xx, HEAD like GET; nothing is echoed'
      ),
      row(
        'D7',
        'Other spellings of addresses (`//`, `%2e`, `;`, dots, case), route shadowing',
        '4xx in any spelling, with any key or none: paths are matched as written'
      ),
      row('D8', 'Parameters and headers twice', '400: none is chosen'),
      row('D9', 'Chunk extensions and trailers', 'ignored, bounded; a key in a trailer is none'),
      row('D10', 'Compressed bombs', '415 without unpacking a byte'),
      row(
        'D11',
        'HTTP/2 rapid reset and floods',
        'there is no HTTP/2: its preface and ALPN are refused, h2c is ignored'
      ),
      row(
        'D12',
        'Host confusion',
        '403 unless Host names this server, but on routes without a key; forwarded hosts are not read'
      ),
      row('D13', 'Clients that break off at every byte', 'no place, connection or memory is lost')
    ]
  },
  {
    title: 'E. JSON',
    attacks: [
      row('E1', 'Depth of 100,000', '400 in one pass before anything is built'),
      row('E2', 'A name twice', '400'),
      row('E3', '`__proto__`, `constructor`, `prototype`', '400; nothing is polluted'),
      row('E4', 'Huge integers, -0, 1e999, NaN', '400, or taken by value'),
      row('E5', 'Lone surrogates, NUL, overlong UTF-8, byte order mark', '415 or 400, or kept as text'),
      row('E6', 'Numbers for texts and the like', "400 with the field's name; nothing is converted"),
      row('E7', 'Names whose hashes collide', '400 beyond a number of them'),
      row('E8', 'Negative and huge numbers in every field', 'accepted at both ends of the range, 400 beyond')
    ]
  },
  {
    title: 'G. Keys and signatures',
    attacks: [
      row(
        'G1',
        'Timing of the comparison',
        'one answer for every wrong key; HMAC digests, compared in constant time (`node bench/key-timing.ts`)'
      ),
      row(
        'G2',
        'Case, spaces, lists, two credentials, other headers',
        '401 or 400: a key has one spelling, in one header'
      ),
      row('G3', 'SQL and query operators in every identity', 'texts like others: 401, 404 or 400'),
      row('G4', 'Stored digests, ids and derived secrets presented as keys', '401'),
      row('G5', 'Keys that begin alike, through a cache', 'distinguished: there is no cache'),
      row(
        'G6',
        'A key that is revoked, expires, is rotated or loses rights while it streams',
        'the stream ends within a second, with VERIT_UNAUTHORIZED'
      ),
      row('G7', 'Rights of another route', '403: each route names its scope in one table'),
      row('G8', 'Replay, also after a restart or a kill; skewed clocks', '401: nonces are on disk before the answer'),
      row('G9', 'Another algorithm, key id or label; several signatures', '401'),
      row('G10', 'A signature over less, more or other things', '401: the covered components are fixed'),
      row('G11', 'Secrets in URLs, logs, errors, arguments, files', 'none is found'),
      row('G12', 'The store fails in the middle', '503 for everyone; served again when it is back')
    ]
  },
  {
    title: 'H. Resources and fairness',
    attacks: [
      row('H1', 'Prompts as long as the context', 'answered in turn, or 400; memory comes back'),
      row('H2', 'Storms of cancelled requests', 'places, connections and budget come back'),
      row('H3', 'One budget, many requests side by side', 'never overshot: the worst case is held first'),
      row('H4', 'One key with a hundred requests', 'others are served before its next'),
      row('H5', 'Pushing others out of a prompt cache', 'a flood pushes out its own pages first'),
      row('H6', 'Making the server swap models', 'one model a server; other names are 404'),
      row('H7', 'A full disk', '503; goes on when there is room; the audit log verifies'),
      row('H8', 'No free descriptors', 'connections are refused, the server stays up and recovers'),
      row('H9', 'Floods of bodies and connections', 'memory stays bounded'),
      row(
        'H10',
        'Connections held from many addresses: with questions that need no key, silent, in headers, in handshakes',
        'the oldest unauthenticated one makes room; a valid key is answered',
        'src/server/connection-places.test.ts',
        'src/server/connections.test.ts'
      ),
      row(
        'H11',
        'Many addresses, each with its own limit: entries, lines, buckets, counts',
        'all strangers together have a limit of everything that they can make grow',
        'src/server/refusals.test.ts',
        'src/server/rates.test.ts'
      ),
      row(
        'H12',
        'The largest bodies of each route, in the worst way for each kind of tokenizer',
        'what cannot fit is refused unread; another key has its token soon',
        'test/largest-bodies.test.ts',
        'test/full/largest-bodies.test.ts',
        'src/tokenizer/encoding.test.ts',
        'src/engine/marks.test.ts'
      )
    ]
  },
  {
    title: 'I. Fetching and keeping models',
    attacks: [
      row(
        'I1',
        'Private, loopback and link-local addresses in any notation, user parts, backslashes',
        'not asked: the address itself is judged, in its one form'
      ),
      row(
        'I2',
        'Redirects, and names that change between check and connection',
        'every hop is judged; the connection goes to the addresses that were judged'
      ),
      row('I3', '`file:`, `data:`, `gopher:` and others', 'refused as source, hub and redirect'),
      row(
        'I4',
        'Downloads without end in size or time, compressed bombs',
        'refused by the announced length, cut off by time; nothing is unpacked'
      ),
      row(
        'I5',
        'Digests, names and archives as paths',
        'the only path is the digest that was computed here; archives are kept as they are'
      ),
      row('I6', 'Credentials carried along a redirect', "the token goes to the hub's origin only; no cookies"),
      row(
        'I7',
        'A model that was changed, set back or exchanged',
        'refused: pinned by its digest, compared again when it is loaded'
      ),
      row('I8', 'Further files beside the known ones', 'never used: only what the index names is a model'),
      row(
        'I9',
        'Files of the installed package changed, removed, added',
        'named by `verit doctor`; **remains**: who changes the list or the doctor as well is found only by ' +
          "comparing the digest of the list with the release's"
      )
    ]
  },
  {
    title: 'J. Browsers',
    attacks: [
      row('J1', 'DNS rebinding', '403 on every route that needs a key, on loopback too'),
      row('J2', 'Forms and other requests that need no preflight', '403, 401 or 415; there are no cookies'),
      row('J3', 'Reflected origins', '403; CORS headers for listed origins only, never with credentials'),
      row('J4', 'Framing, sniffing, caching', 'forbidden by the headers of every answer'),
      row('J5', 'Markup through prompts, answers and names', 'data in JSON with nosniff and a CSP of `none`'),
      row('J6', 'A prompt in a link', '400: queries are refused; there is no page that would send one'),
      row('J7', 'Origin `null`', '403, and it cannot be allowed')
    ]
  },
  {
    title: 'K. Side channels',
    attacks: [
      row(
        'K1',
        "Probing for others' prompts by time or answer",
        'what is kept of a prompt is found by keys of the same owner alone'
      ),
      row('K2', 'Cache counts in usage', "of what the same owner has left, no other's"),
      row(
        'K3',
        "Sizes of a stream's events",
        'events are filled up to one size, unless the client asks for the contrary; **remains**: when they come'
      ),
      row(
        'K4',
        'Labels of metrics, routes that show what runs',
        'no label holds what a client chose; there are no such routes'
      ),
      row('K5', 'Addresses and paths in errors', 'none'),
      row('K6', 'Memory reused between requests', 'the same answer alone and in a crowd')
    ]
  },
  {
    title: 'L. Logs',
    attacks: [
      row('L1', 'Line breaks, ANSI and direction characters', 'escaped in log, audit log and commands'),
      row('L2', 'Entries changed, removed, moved, cut off, set back', 'found by `verit audit verify`'),
      row('L3', 'A forked log', 'found with an older checkpoint'),
      row('L4', 'A crash between answer and log', "the entry is on disk before the answer's last byte"),
      row('L5', 'Clock jumps', 'times of entries never go back'),
      row('L6', 'Secrets and texts in logs', 'none')
    ]
  },
  {
    title: 'M. Processes',
    attacks: [
      row(
        'M1',
        'The runner crashes, hangs, takes all memory',
        'its answers end with an error, the gateway lives, the next request is answered by a new process',
        'test/runner-death.test.ts',
        'src/runner/runner-process.test.ts',
        'test/sandbox.test.ts'
      ),
      row(
        'M2',
        'A runner that was taken over tries network, exec, files, ptrace',
        'refused by the system, or its end',
        'test/sandbox.test.ts'
      ),
      row(
        'M3',
        'Malformed messages of a runner',
        'its end at the first wrong one; nothing is kept for a frame that is too long',
        'src/runner/frames.test.ts',
        'src/runner/call.test.ts',
        'test/fuzz.test.ts'
      ),
      row(
        'M4',
        'Storms of signals and restarts',
        'a request is sent to a second process once; answers under way may end',
        'test/runner-death.test.ts'
      ),
      row(
        'M5',
        'A runner that was taken over claims a context, floods text, alternatives or its log, answers early, ' +
          'twice or never',
        'no more tokens than were reserved, no more text than tokens have; others are answered',
        'test/hostile-claims.test.ts',
        'test/frame-limits.test.ts'
      )
    ]
  }
]

export interface TestOfAttack {
  readonly id: string
  readonly name: string
  /** Path in the repository. */
  readonly file: string
}

/** All tests of attacks, by their sources. */
export function testsOfAttacks(): TestOfAttack[] {
  const files = ['test/attacks', 'test/full']
    .flatMap(folder =>
      readdirSync(new URL(folder, root))
        .filter(f => /^(?!limits).*\.test\.ts$/.test(f))
        .map(f => `${folder}/${f}`)
    )
    .toSorted()
  return files.flatMap(path =>
    namesIn(readFileSync(new URL(path, root), 'utf8')).flatMap(name => {
      const id = /^[A-Z]\d+(?= )/.exec(name)?.[0]
      return id === undefined ? [] : [{ id, name, file: path }]
    })
  )
}

/** The names of the tests in a source text: a string in either quotes, or several that are joined by +. */
function namesIn(source: string): string[] {
  const one = /'((?:[^'\\\n]|\\.)*)'|"((?:[^"\\\n]|\\.)*)"/g
  const names = source.matchAll(/^test\(\s*((?:'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|\s*\+\s*)+)/gm)
  return [...names].map(([, text]) =>
    [...text!.matchAll(one)].map(([, single, double]) => (single ?? double)!.replaceAll(/\\(['"])/g, '$1')).join('')
  )
}

const cell = (text: string): string => text.replaceAll('|', String.raw`\|`).replaceAll('<', '&lt;')

export function attackPage(): string {
  const tests = testsOfAttacks()
  const lines = (attack: Attack): string => {
    const own = tests
      .filter(t => t.id === attack.id)
      .map(
        t =>
          `${cell(t.name.slice(t.id.length + 1))} ` +
          `([${t.file.split('/').at(-1)!.replace('.test.ts', '')}](../../${t.file}))`
      )
    own.push(...attack.shownBy.map(path => `[${path.split('/').at(-1)!.replace('.test.ts', '')}](../../${path})`))
    return `| ${attack.id} | ${cell(attack.attack)} | ${cell(attack.happens)} | ${own.join('<br>')} |`
  }
  return `# Attacks

For security reviewers. Known attacks on servers of language models, the result of each on Verit, and its tests. Made from
the sources of the tests by \`node scripts/attack-table.ts\`; a test fails if an attack has no test.

The servers are real and the attacks are generated by code:

    node --test "test/attacks/*.test.ts"         # in npm test and npm run test:long
    node --test "test/full/attacks-*.test.ts"    # those that wait for a database

After each case the server must still answer \`/health\` and a valid request. Ceilings are of memory, connections and entries,
never of time. [limits.test.ts](../../test/attacks/limits.test.ts) tests limits on both sides of their edges.
[threat-model.md](threat-model.md) names the attackers, and what is not covered.
${classes.map(({ title, attacks }) => `\n## ${title}\n\n| id | attack | what happens | tests ` + `|\n|---|---|---|---|\n${attacks.map(lines).join('\n')}\n`).join('')}`
}

if (import.meta.main) {
  const page = attackPage()
  const current = readFileSync(file, { encoding: 'utf8', flag: 'a+' }) === page
  if (!process.argv.includes('--check')) writeFileSync(file, page)
  else if (!current) {
    process.stderr.write('docs/evidence/attacks.md is not current: run `node scripts/attack-table.ts`.\n')
    process.exitCode = 1
  }
}
