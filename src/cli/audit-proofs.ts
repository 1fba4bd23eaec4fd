/** `verit audit verify`, `prove`, `export`, `key`, `checkpoint`: evidence, made and checked. */
import { Command } from 'commander'
import { existsSync } from 'node:fs'
import { IN_DATABASE } from '../audit/continues.ts'
import { describeEntry } from '../audit/describe-entry.ts'
import { exportLines, exportLog } from '../audit/export.ts'
import { cosignedPath } from '../audit/log-files.ts'
import { checkProof, proveConsistency, proveEntry } from '../audit/proofs.ts'
import { readCheckpoint } from '../audit/reader.ts'
import { isUncovered } from '../audit/remembered.ts'
import { findRequest } from '../audit/search.ts'
import { verifyLog } from '../audit/verify.ts'
import type { VerifyResult } from '../audit/verify.ts'
import { writeFileAtomic } from '../lib/atomic-file.ts'
import { defined } from '../lib/defined.ts'
import { VeritError } from '../lib/errors.ts'
import { plural } from '../lib/error-table.ts'
import { printable, printableJson } from '../lib/printable.ts'
import { openCheckpoint, parseCheckpoint } from '../trust/checkpoint.ts'
import type { VerifierKey } from '../trust/note-key.ts'
import { parseNote } from '../trust/signed-note.ts'
import { checkpointInDatabase } from './audit-database.ts'
import {
  collect,
  keyArgument,
  located,
  logFolder,
  ownKey,
  readEvidence,
  readText,
  wholeNumber,
  withProgress
} from './audit-shared.ts'
import type { Where } from './audit-shared.ts'

interface VerifyCommandOptions extends Where {
  key?: string
  checkpoint?: string[]
  witness?: string[]
  proof?: string
  json?: boolean
}

export function verifyCommand(): Command {
  return located(new Command('verify').summary('verify the whole log, or a proof'))
    .description(
      'Verify every entry, tile, signature and time of the log with its public key, and its consistency with ' +
        'checkpoints kept elsewhere. Exit status 0: verified; 1: the log is not valid; 2: wrong usage.'
    )
    .option(
      '--key <key>',
      'verifier key of the log, or a file with it, from a source other than the log (default: the one in the folder)'
    )
    .option('--checkpoint <file>', 'an older checkpoint of the log (repeatable)', collect)
    .option(
      '--witness <key>',
      'verifier key, or file, of a witness whose cosignature is required (repeatable)',
      collect
    )
    .option('--proof <file>', 'verify this proof, without the log')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      '\nExamples:\n  verit audit verify --key verit.example/gpu1+1a2b3c4d+AT... --checkpoint last-month.txt\n  ' +
        'verit audit verify --folder ./exported --key log.vkey\n' +
        '  verit audit verify --proof entry-812.tlog-proof --key log.vkey'
    )
    .action(async (options: VerifyCommandOptions) => {
      const witnesses = (options.witness ?? []).map(keyArgument)
      const older = (options.checkpoint ?? []).map(path => ({ source: path, text: readCheckpointFile(path) }))
      if (options.proof !== undefined) return verifyProof(options.proof, options, witnesses, older)
      const key = options.key === undefined ? undefined : keyArgument(options.key)
      const folder = logFolder(options)
      const given = older.length
      const known =
        options.folder === undefined
          ? await checkpointInDatabase(options.state, key?.text ?? keyTextIn(folder))
          : undefined
      if (known?.text !== undefined && !isUncovered(folder, key ?? ownKey(folder), known.text)) {
        older.push({ source: IN_DATABASE, text: known.text })
      }
      const result = await withProgress('verify', onProgress =>
        verifyLog(folder, { ...defined({ key }), older, witnesses, onProgress })
      )
      if (options.json === true) {
        const database = known === undefined ? {} : { database: known.note === '' ? 'compared' : known.note }
        const [root, ok] = [result.root.toString('base64'), result.problems.length === 0]
        process.stdout.write(`${printableJson({ ...result, root, ok, ...database })}\n`)
      } else process.stdout.write(report(result, key === undefined, given, known?.note ?? ''))
      if (result.problems.length > 0) process.exitCode = 1
    })
}

/** The key that the folder names; undefined if it names none. */
function keyTextIn(folder: string): string | undefined {
  try {
    return ownKey(folder).text
  } catch (e) {
    if (!VeritError.is(e)) throw e
    return undefined
  }
}

/**
 * @param older checkpoints that the operator gave.
 * @param database why the log was not compared with the database, '' if it was
 */
function report(result: VerifyResult, ownKeyOnly: boolean, older: number, database: string): string {
  const lines = result.problems.map(({ kind, message, file, index }) => {
    const where = [
      ...(file === undefined ? [] : [printable(file, 300)]),
      ...(index === undefined ? [] : [`entry ${index}`])
    ].join(', ')
    return `PROBLEM ${kind}${where === '' ? '' : ` (${where})`}: ${printable(message, 500)}\n`
  })
  if (lines.length > 0)
    return `${lines.join('')}${printable(result.origin)}: ${plural(lines.length, 'problem')}; do not trust this log.\n`
  const cosigned = result.cosigned
    .map(c => `  cosigned by ${printable(c.name)} at ${c.size} entries, ${new Date(c.time * 1000).toISOString()}\n`)
    .join('')
  const hints = [
    ...(ownKeyOnly
      ? ['  checked with the key in the folder: who could change the log could change the key; give it with --key\n']
      : []),
    ...(older === 0
      ? [
          '  without an older checkpoint (--checkpoint), a log that was set back or rewritten by the holder of ' +
            'its key looks like this, too\n'
        ]
      : []),
    ...(database === '' ? [] : [`  not compared with the database: ${printable(database)}\n`]),
    ...(result.uncovered > 0 ? [`  ${result.uncovered} entries in the file are not covered by a checkpoint yet\n`] : [])
  ]
  const continued = result.continued === 0 ? '' : `; it continues ${plural(result.continued, 'older checkpoint')}`
  return (
    `${printable(result.origin)}: ${result.size} entries, all as they were ` +
    `logged${continued}.\n${cosigned}${hints.join('')}`
  )
}

function verifyProof(
  path: string,
  options: VerifyCommandOptions,
  witnesses: VerifierKey[],
  older: { source: string; text: string }[]
): void {
  if (options.key === undefined)
    throw new VeritError('VERIT_USAGE', {
      problem: 'A proof is checked with the key of the log',
      hint: 'Give it with --key; `verit audit key` shows it on the server'
    })
  const key = keyArgument(options.key)
  const checked = checkProof(readText(path, 'a proof'), key, witnesses, printable(path))
  const { origin, size, root } = checked.checkpoint
  for (const { source, text } of older) {
    const known = openCheckpoint(text, key, printable(source)).checkpoint
    const same =
      known.size === size
        ? known.root.equals(root)
        : checked.kind === 'consistency' && known.size === checked.oldSize && known.root.equals(checked.oldRoot!)
    if (!same)
      throw new VeritError('VERIT_PROOF', {
        source: printable(path),
        problem: `it says nothing of, or contradicts, the checkpoint of ${known.size} entries in ${printable(source)}`
      })
  }
  const times = checked.cosigned.map(s => ({ name: s.key.name, time: s.time }))
  if (options.json === true) {
    const { kind, index, entry, oldSize } = checked
    const roots = { root: root.toString('base64'), oldRoot: checked.oldRoot?.toString('base64') }
    process.stdout.write(
      `${printableJson({ ok: true, kind, origin, size, index, entry, oldSize, ...roots, cosigned: times })}\n`
    )
    return
  }
  process.stdout.write(
    checked.kind === 'inclusion'
      ? `Entry ${checked.index} of ${printable(origin)} (${size} entries):\n${describeEntry(checked.entry!)}\n`
      : `${printable(origin)}: the log of ${size} entries begins with that of ${checked.oldSize}, root ` +
          `${checked.oldRoot!.toString('base64')}\n`
  )
  for (const { name, time } of times)
    process.stdout.write(`  cosigned by ${printable(name)}, ${new Date((time ?? 0) * 1000).toISOString()}\n`)
}

interface ProveOptions extends Where {
  output?: string
  consistency?: boolean
  cosigned?: boolean
}

export function proveCommand(): Command {
  return located(new Command('prove').summary('write a proof that can be verified without the log'))
    .description(
      'Write an inclusion proof of an entry (C2SP tlog-proof), or with --consistency a proof that a newer ' +
        'checkpoint continues an older one.'
    )
    .argument(
      '<what...>',
      'INDEX or REQUEST_ID; with --consistency: OLD [NEW], each a size or a checkpoint file (NEW: default the newest)'
    )
    .option('-o, --output <file>', 'file to write (default: standard output)')
    .option('--consistency', 'write a consistency proof')
    .option('--cosigned', 'under the newest checkpoint with cosignatures of witnesses')
    .addHelpText(
      'after',
      '\nExamples:\n  verit audit prove 812 -o entry-812.tlog-proof\n  verit audit prove req_0123456789ab\n  ' +
        'verit audit prove --consistency last-month.txt -o growth.proof'
    )
    .action((what: string[], options: ProveOptions) => {
      const folder = logFolder(options)
      const usage = (problem: string, hint: string): VeritError => new VeritError('VERIT_USAGE', { problem, hint })
      if (what.length > (options.consistency === true ? 2 : 1))
        throw usage('There are too many arguments', 'Give one entry, or with --consistency OLD and NEW')
      const cosigned = options.cosigned === true ? cosignedNote(folder) : undefined
      let proof: string
      if (options.consistency === true) {
        const note = what[1] === undefined ? cosigned : newerNote(what[1], folder)
        proof = proveConsistency(folder, sizeOf(what[0]!), note)
      } else {
        const index = /^[0-9]+$/.test(what[0]!)
          ? wholeNumber(what[0]!, 'an index')
          : findRequest(folder, what[0]!)?.index
        if (index === undefined)
          throw usage(`The log has no request ${printable(what[0]!, 80)}`, 'Find it with `verit audit search`')
        proof = proveEntry(folder, index, cosigned)
      }
      if (options.output === undefined) process.stdout.write(proof)
      else writeFileAtomic(options.output, proof)
    })
}

function cosignedNote(folder: string): string {
  if (!existsSync(cosignedPath(folder)))
    throw new VeritError('VERIT_USAGE', {
      problem: 'No witness has cosigned this log',
      hint: 'See `verit audit witness --help`'
    })
  return readText(cosignedPath(folder), 'the cosigned checkpoint')
}

const noteOf = (path: string): { size: number; text: string } => {
  const text = readText(path, 'a checkpoint')
  return { size: parseCheckpoint(parseNote(text, printable(path)).text, printable(path)).size, text }
}

const sizeOf = (given: string): number => (/^[0-9]+$/.test(given) ? wholeNumber(given, 'a size') : noteOf(given).size)

/** A newer tree must have a checkpoint, or the proof would end in a root that nobody has signed. */
function newerNote(given: string, folder: string): string {
  if (!/^[0-9]+$/.test(given)) return noteOf(given).text
  const notes = [readCheckpoint(folder).note, ...(existsSync(cosignedPath(folder)) ? [cosignedNote(folder)] : [])]
  const found = notes.find(
    note => parseCheckpoint(parseNote(note, 'the checkpoint').text, 'the checkpoint').size === Number(given)
  )
  if (found === undefined)
    throw new VeritError('VERIT_USAGE', {
      problem: `There is no signed checkpoint of ${given} entries here`,
      hint: 'Give the file of one, or leave it out to take the newest'
    })
  return found
}

export function exportCommand(): Command {
  return located(new Command('export').summary('copy the log for others, or as JSON lines'))
    .description(
      'Copy the log up to its checkpoint as static files (C2SP tlog-tiles). Anyone can verify them with the ' +
        'public key. Entries hold ids, addresses and token counts: choose who gets them. Keys, salts and texts ' +
        'are not copied.'
    )
    .argument('<out>', 'a new or empty folder; with --jsonl, a new file')
    .option('--jsonl', 'write only the entries, one JSON line each')
    .addHelpText('after', '\nExamples:\n  verit audit export ./exported\n  verit audit export --jsonl entries.jsonl')
    .action(async (out: string, { jsonl, ...where }: Where & { jsonl?: boolean }) => {
      const count = await withProgress('export', onProgress =>
        (jsonl === true ? exportLines : exportLog)(logFolder(where), out, onProgress)
      )
      process.stdout.write(`${count} entries in ${printable(out)}\n`)
    })
}

export function keyCommand(): Command {
  return located(new Command('key').summary('print the public key of the log'))
    .description(
      'Print the verifier key of the log. Keep it, together with checkpoints, where the server cannot change it.'
    )
    .addHelpText('after', '\nExample:\n  verit audit key > log.vkey')
    .action((where: Where) => void process.stdout.write(`${ownKey(logFolder(where)).text}\n`))
}

export function checkpointCommand(): Command {
  return located(new Command('checkpoint').summary('print the newest signed checkpoint'))
    .description('Print the newest checkpoint. Keep it elsewhere: it exposes any later change of the log.')
    .option('--cosigned', 'the newest with cosignatures of witnesses')
    .addHelpText(
      'after',
      '\nExample:\n  verit audit checkpoint | ssh backup@other-host \'cat > "checkpoints/$(date +%F).txt"\''
    )
    .action(({ cosigned, ...where }: Where & { cosigned?: boolean }) => {
      const folder = logFolder(where)
      process.stdout.write(cosigned === true ? cosignedNote(folder) : readCheckpoint(folder).note)
    })
}

/**
 * A malformed file is wrong usage and proves nothing against the log. @throws VeritError VERIT_NOTE and those of
 * reading a file
 */
function readCheckpointFile(path: string): string {
  const text = readEvidence(path, 'an older checkpoint')
  parseCheckpoint(parseNote(text, printable(path)).text, printable(path))
  return text
}
