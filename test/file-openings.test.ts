/**
 * Every place in src that opens a file, looks at one by its path, or hands a path to SQLite. Files that hold a secret
 * or decide something go through lib/trusted-file.ts; each other opening stands in the table below, with the reason why
 * owner and permissions need no check. A new opening fails here until somebody has decided which it is.
 */
import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { isDeepStrictEqual } from 'node:util'

const root = fileURLToPath(new URL('../src', import.meta.url))

/**
 * What of node:fs and node:sqlite opens a file, copies it, or judges it by its path. Names of folders (readdir, exists)
 * tell no content.
 */
const OPENERS = new Set([
  'openSync',
  'open',
  'readFileSync',
  'readFile',
  'createReadStream',
  'createWriteStream',
  'openAsBlob',
  'cpSync',
  'cp',
  'copyFileSync',
  'copyFile',
  'opendirSync',
  'opendir',
  'statSync',
  'stat',
  'lstatSync',
  'lstat',
  'accessSync',
  'access',
  'watch',
  'watchFile',
  'DatabaseSync'
])
/** Our own that open without a check. */
const OWN = new Set(['openRegular', 'readBounded'])
const DOOR = new Set(['openTrusted', 'readTrusted', 'readEvidence', 'secretSetting'])

const INPUT = 'input that the user names: it is checked for its form, and nothing is trusted because of it'
const LOG = 'evidence: checked by hashes and the signed checkpoint, wherever the folder lies'
const SYSTEM = "the kernel's own files"
const PACKAGE = 'a part of the package, as the code is'
const STORE_FOLDER = 'in the store of models, whose folders are checked (0700); contents are known by their digests'
const RUN = 'a training run; its result is a model like any other'
const PATH_ONLY = 'only whether there is a folder, or how a file is called'

/** File, calls of openers, reason. */
const openings: readonly (readonly [file: string, calls: Readonly<Record<string, number>>, reason: string])[] = [
  ['audit/audit-log.ts', { statSync: 1 }, 'the age of a file of the log, in a folder that was checked'],
  ['audit/export.ts', { cpSync: 1 }, LOG],
  ['audit/foreign-files.ts', { lstatSync: 1, readBounded: 1 }, LOG],
  ['audit/log-files.ts', { openRegular: 1 }, LOG],
  ['audit/log-writer.ts', { lstatSync: 1, openSync: 1, open: 2 }, 'the log that is written, in a folder it checked'],
  ['audit/reader.ts', { readBounded: 2 }, LOG],
  ['audit/recover.ts', { readBounded: 3 }, LOG],
  ['audit/texts-file.ts', { open: 1, openRegular: 1 }, 'texts that are encrypted and bound to their entry'],
  ['audit/tree-check.ts', { readBounded: 2 }, LOG],
  ['cli/audit-shared.ts', { openRegular: 1 }, 'proofs and notes, which are checked by their signatures'],
  ['cli/call.ts', { readFileSync: 1 }, INPUT],
  ['cli/compare.ts', { openRegular: 1 }, INPUT],
  ['cli/conversation-options.ts', { openRegular: 1 }, INPUT],
  ['cli/convert-source.ts', { statSync: 2, openRegular: 2 }, INPUT],
  ['cli/doctor.ts', { openRegular: 1 }, INPUT],
  ['cli/inspect-other.ts', { statSync: 1, openRegular: 2 }, INPUT],
  ['cli/interruption.ts', { readFileSync: 1 }, SYSTEM],
  ['cli/model-bom.ts', { openRegular: 2 }, INPUT],
  ['cli/model-sign.ts', { lstatSync: 1 }, PATH_ONLY],
  ['cli/model-verify.ts', { lstatSync: 1 }, PATH_ONLY],
  ['cli/open-checkpoint.ts', { openSync: 1 }, 'a model that this process wrote in a temporary folder of its own'],
  ['cli/open-model.ts', { openRegular: 1 }, INPUT],
  ['cli/open-model-file.ts', { openRegular: 1 }, INPUT],
  ['cli/open-tokenizer.ts', { openRegular: 1 }, INPUT],
  ['cli/task-file.ts', { openRegular: 1 }, INPUT],
  ['cli/version-text.ts', { readFileSync: 1 }, PACKAGE],
  ['data/admit-inputs.ts', { statSync: 1 }, 'the size of an input, to say how long it takes'],
  ['data/corpus.ts', { openRegular: 1 }, INPUT],
  ['data/dataset.ts', { openRegular: 2 }, INPUT],
  ['data/inputs.ts', { statSync: 1 }, PATH_ONLY],
  ['data/read-text.ts', { openRegular: 4 }, INPUT],
  ['data/shards.ts', { openSync: 1, openRegular: 1 }, INPUT],
  ['doctor/advisories.ts', { openRegular: 1 }, PACKAGE],
  ['doctor/host.ts', { readFileSync: 1 }, SYSTEM],
  ['doctor/log-kept.ts', { readBounded: 1 }, LOG],
  ['doctor/package-files.ts', { lstatSync: 2, readFileSync: 1 }, PACKAGE],
  ['doctor/sandbox.ts', { statSync: 2, openRegular: 1 }, PACKAGE],
  ['doctor/served-model.ts', { statSync: 1 }, 'the size of a model that was checked'],
  ['doctor/services.ts', { readBounded: 1 }, 'the public key of a log, to ask the database for it'],
  ['doctor/state-files.ts', { lstatSync: 1 }, 'the check itself: who may replace the folders on the way to the state'],
  ['engine/load.ts', { openRegular: 1 }, INPUT],
  ['exec/kernel-files.ts', { readFileSync: 1 }, 'kernels of a platform package, known by their digest'],
  ['exec/processors.ts', { readFileSync: 1 }, SYSTEM],
  ['formats/gguf-parts.ts', { openRegular: 2 }, INPUT],
  ['formats/gguf-reader.ts', { openRegular: 1 }, INPUT],
  ['formats/safetensors.ts', { openRegular: 1 }, INPUT],
  ['formats/torch-file.ts', { openRegular: 1 }, INPUT],
  ['hub/lock-file.ts', { statSync: 1 }, 'whether the lock file is there; it is read through the door'],
  ['hub/model-store.ts', { openSync: 3, statSync: 2, DatabaseSync: 1 }, STORE_FOLDER],
  ['hub/partial.ts', { openSync: 1, readFileSync: 1, statSync: 1 }, STORE_FOLDER],
  ['hub/push-file.ts', { openRegular: 1 }, INPUT],
  ['hub/this-host.ts', { readFileSync: 1 }, SYSTEM],
  ['lib/atomic-file.ts', { lstatSync: 2, openSync: 2 }, 'files that are written, under names of their own'],
  ['lib/exclusive-lock.ts', { openSync: 1, DatabaseSync: 2 }, 'a lock without content, in a folder that was checked'],
  ['lib/log-output.ts', { openSync: 1 }, 'standard error, once more'],
  ['lib/make-folder.ts', { statSync: 1 }, PATH_ONLY],
  ['lib/out-folder.ts', { lstatSync: 1 }, PATH_ONLY],
  ['lib/package-root.ts', { readFileSync: 1 }, PACKAGE],
  ['lib/private-path.ts', { lstatSync: 1 }, 'the check itself, of folders and of files that SQLite opens'],
  ['lib/processor-list.ts', { readFileSync: 1 }, SYSTEM],
  ['lib/regular-file.ts', { openSync: 1 }, 'how any regular file is opened'],
  ['lib/replace-file.ts', { open: 2 }, 'files that are written, under names of their own'],
  ['lib/run-files.ts', { statSync: 2, openRegular: 1 }, INPUT],
  ['lib/secret-mount.ts', { readFileSync: 2 }, SYSTEM],
  ['lib/trusted-file.ts', { statSync: 1, openRegular: 1 }, 'the door itself'],
  ['model/hf-conversation.ts', { openRegular: 2 }, INPUT],
  ['model/hf-files.ts', { openRegular: 1 }, INPUT],
  ['server/certificate-watch.ts', { statSync: 1 }, 'whether the files changed; they are read through the door'],
  ['server/listen.ts', { lstatSync: 1, statSync: 1 }, 'the check itself: who may replace the socket'],
  ['server/start-check.ts', { accessSync: 1 }, 'whether a start could write into the state folder, which was checked'],
  ['store/sqlite.ts', { openSync: 1, DatabaseSync: 2 }, 'the database, checked by private-path.ts'],
  ['tokenizer/load-tokenizer.ts', { openRegular: 1 }, INPUT],
  ['train/checkpoint.ts', { openRegular: 1 }, RUN],
  ['train/run-file.ts', { openRegular: 1 }, INPUT],
  ['train/run-folder.ts', { openSync: 2, readFileSync: 3 }, RUN],
  ['train/run-overview.ts', { openRegular: 1 }, RUN],
  ['train/run-settings.ts', { readFileSync: 1 }, RUN],
  ['trust/digest.ts', { openRegular: 1 }, 'a digest of whatever the file holds: whoever compares it decides'],
  ['trust/oms-files.ts', { lstatSync: 1, openRegular: 1 }, 'which files a model has; the door reads them']
]

/** Where the door is used, and the classes of the files opened there. */
const trusted: Readonly<Record<string, readonly string[]>> = {
  'audit/audit-log.ts': ['decides'], // audit.texts_key
  'audit/day-secrets.ts': ['secret'],
  'audit/log-key.ts': ['state'],
  'audit/witness.ts': ['decides'], // the last checkpoint cosigned
  'cli/audit-entries.ts': ['secret'], // the private key of texts
  'cli/audit-shared.ts': ['decides'], // --key, --log-key, --checkpoint, --witness
  'cli/audit-witness.ts': ['secret'], // the key of a witness
  'cli/call.ts': ['decides', 'secret'], // --server-key; VERIT_API_KEY_FILE
  'cli/hub-token.ts': ['secret'], // VERIT_HUB_TOKEN_FILE, HF_TOKEN_FILE
  'cli/keys-options.ts': ['decides'], // --public-key, --certificate
  'cli/model-shared.ts': ['decides'], // signatures and public keys of signers
  'cli/model-verify.ts': ['decides'],
  'cli/serve.ts': ['secret'], // VERIT_WEBHOOK_SECRET_FILE
  'client/key-file.ts': ['secret'],
  'doctor/services.ts': ['secret'], // VERIT_WEBHOOK_SECRET_FILE
  'hub/lock-file.ts': ['decides'], // verit.lock
  'hub/pull.ts': ['decides'],
  'runner/model-runner.ts': ['decides'], // the model
  'server/chat-template.ts': ['decides'], // inference.chat_template
  'server/config-file.ts': ['decides'],
  'server/server-key.ts': ['state'],
  'server/tls.ts': ['decides', 'secret'], // certificate and authorities; key
  'server/trust-check.ts': ['decides'], // the model and its signature
  'store/database-tls.ts': ['decides', 'secret'], // sslrootcert, sslcert; sslkey
  'store/database-url.ts': ['secret'], // VERIT_DATABASE_URL_FILE
  'store/rate-url.ts': ['secret'], // VERIT_RATE_URL_FILE
  'store/evidence.ts': ['state'], // the name of the gateway
  'store/server-secret.ts': ['state'],
  'trust/model-key.ts': ['decides', 'secret'], // as a public key first
  'trust/oms-files.ts': ['decides'], // every file of a model that is signed or verified
  'trust/trust-policy.ts': ['decides'], // trust.toml, the key of the default model
  'watch/baseline-file.ts': ['state']
}

/** The text of a source file without comments. */
const source = (file: string): string =>
  readFileSync(join(root, file), 'utf8')
    .replaceAll(/\/\*[^]*?\*\//g, '')
    .replaceAll(/(^|\s)\/\/.*$/gm, '')

const files = readdirSync(root, { recursive: true, encoding: 'utf8' })
  .filter(f => f.endsWith('.ts') && !f.endsWith('.test.ts'))
  .sort()

/** How often a file calls each of these functions, under whichever name it imports them. */
function callsOf(text: string, wanted: ReadonlySet<string>): Record<string, number> {
  const calls: Record<string, number> = {}
  for (const [, names = ''] of text.matchAll(/import \{([^}]*)\} from '[^']+'/g)) {
    for (const part of names.split(',')) {
      const [name = '', local = name] = part.trim().split(' as ')
      if (!wanted.has(name)) continue
      const count = [...text.matchAll(new RegExp(`(?<![.\\w#])${local}\\(`, 'g'))].length
      if (count > 0) calls[name] = count
    }
  }
  return calls
}

/** Rows of two tables that are not the same: what was found, and what is listed. */
function differences(found: Readonly<Record<string, unknown>>, listed: Readonly<Record<string, unknown>>): object[] {
  const names = [...new Set([...Object.keys(found), ...Object.keys(listed)])]
  return names
    .filter(name => !isDeepStrictEqual(found[name], listed[name]))
    .map(name => ({ file: name, found: found[name], listed: listed[name] }))
}

test('every opening of a file is through the door, or in the table with a reason', () => {
  const wanted = new Set([...OPENERS, ...OWN])
  const calls = files
    .map(file => [file, callsOf(source(file), wanted)] as const)
    .filter(([, c]) => Object.keys(c).length > 0)
  const wrong = differences(Object.fromEntries(calls), Object.fromEntries(openings.map(([file, c]) => [file, c])))
  const next =
    'An opening is new or gone. If the file holds a secret or decides something, open it with ' +
    'lib/trusted-file.ts; otherwise list it here with the reason.'
  assert.deepEqual(wrong, [], `${next}\n${JSON.stringify(wrong, null, 1)}`)
})

test('no source reaches the file system under another name', () => {
  const whole = /import\s+(\*|\w+\s+from)[^'\n]*'(node:)?(fs|fs\/promises|sqlite)'/
  const late = /import\(\s*'(node:)?(fs|sqlite)|require\('|getBuiltinModule\((?!'node:inspector'\))/
  assert.deepEqual(
    files.filter(file => whole.test(source(file)) || late.test(source(file))),
    []
  )
})

test('each use of the door names the class that its file has', () => {
  const found = files
    .filter(f => !f.startsWith('lib/'))
    .map(file => {
      const text = source(file)
      if (Object.keys(callsOf(text, DOOR)).length === 0) return [file, []] as const
      const named = text.matchAll(/(?<!join\([^)]*)'(secret|decides|state)'|\bsecretSetting\(/g)
      const classes = [...named].map(([, name]) => name ?? 'secret')
      return [file, [...new Set(classes)].sort()] as const
    })
    .filter(([, classes]) => classes.length > 0)
  const wrong = differences(Object.fromEntries(found), trusted)
  assert.deepEqual(wrong, [], JSON.stringify(wrong, null, 1))
})
