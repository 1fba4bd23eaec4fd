/**
 * `verit audit witness`, `witness-key`, `add-cosignature`: a second party that vouches that the log shows everyone the
 * same history.
 */
import { Command } from 'commander'
import { proveConsistency } from '../audit/proofs.ts'
import { readCheckpoint } from '../audit/reader.ts'
import { addCosignature, cosign } from '../audit/witness.ts'
import { writeFileAtomic } from '../lib/atomic-file.ts'
import { defined } from '../lib/defined.ts'
import { VeritError } from '../lib/errors.ts'
import { printable } from '../lib/printable.ts'
import { parseCheckpoint } from '../trust/checkpoint.ts'
import { NOTE_COSIGNATURE, formatSignerKey, isKeyName, newSignerKey, parseSignerKey } from '../trust/note-key.ts'
import { parseNote } from '../trust/signed-note.ts'
import { parseProof } from '../trust/tlog-proof.ts'
import { existsSync } from 'node:fs'
import { collect, keyArgument, located, logFolder, ownKey, readEvidence, readText } from './audit-shared.ts'
import type { Where } from './audit-shared.ts'

export function witnessKeyCommand(): Command {
  return new Command('witness-key')
    .summary('create the key of a witness')
    .description("Create the key of a witness and print its verifier key. Keep it on a machine other than the log's.")
    .argument('<file>', 'file for the private key')
    .requiredOption('--name <name>', 'name of the witness, for example witness.example/w1')
    .addHelpText('after', '\nExample:\n  verit audit witness-key w1.key --name witness.example/w1 > w1.vkey')
    .action((file: string, { name }: { name: string }) => {
      if (!isKeyName(name))
        throw new VeritError('VERIT_USAGE', {
          problem: 'The name of a witness must be 1 to 200 characters without spaces and plus',
          hint: 'Choose another with --name'
        })
      const signer = newSignerKey(name, NOTE_COSIGNATURE)
      writeFileAtomic(file, `${formatSignerKey(signer)}\n`, { mode: 0o600, overwrite: false })
      process.stdout.write(`${signer.verifier.text}\n`)
    })
}

interface WitnessOptions {
  key: string
  logKey: string
  last?: string
  checkpoint?: string
  proof?: string
  folder?: string
}

export function witnessCommand(): Command {
  return new Command('witness')
    .summary('cosign a checkpoint that continues the last one')
    .description(
      'Cosign a checkpoint as a witness, if it continues the last one that this witness cosigned, and print it. A ' +
        'checkpoint that rolls back or forks the log is refused.'
    )
    .requiredOption('--key <file>', 'private key of verit audit witness-key')
    .requiredOption('--log-key <key>', 'verifier key of the log, or a file with it')
    .option('--checkpoint <file>', 'checkpoint to cosign (default: the one in the proof or folder)')
    .option('--proof <file>', 'consistency proof of verit audit prove --consistency')
    .option('--folder <folder>', 'copy of the log (verit audit export) to compute the proof from')
    .option('--last <file>', 'file of the last checkpoint (default: <key>.last)')
    .addHelpText(
      'after',
      '\nExamples:\n  verit audit witness --key w1.key --log-key log.vkey --checkpoint first.txt > cosigned.txt\n' +
        '  verit audit witness --key w1.key --log-key log.vkey --proof growth.proof > cosigned.txt'
    )
    .action((options: WitnessOptions) => {
      const text = readEvidence(options.key, 'the key of a witness', 'secret').trim()
      const witness = parseSignerKey(text, printable(options.key))
      if (witness.verifier.type !== NOTE_COSIGNATURE)
        throw new VeritError('VERIT_USAGE', {
          problem: `${printable(options.key)} is not the key of a witness`,
          hint: 'Make one with `verit audit witness-key`'
        })
      const lastFile = options.last ?? `${options.key}.last`
      const { note, source, proof } = gather(options, lastFile)
      process.stdout.write(
        cosign(defined({ note, source, proof, log: keyArgument(options.logKey), witness, lastFile }))
      )
    })
}

const sizeOf = (note: string, source: string): number => parseCheckpoint(parseNote(note, source).text, source).size

/** The checkpoint to cosign, and the proof, from whichever of them was given. */
function gather(
  { checkpoint, proof, folder }: WitnessOptions,
  lastFile: string
): { note: string; source: string; proof: string | undefined } {
  if (folder !== undefined) {
    const note = checkpoint === undefined ? readCheckpoint(folder).note : readText(checkpoint, 'a checkpoint')
    const last = existsSync(lastFile) ? sizeOf(readEvidence(lastFile, 'the last checkpoint'), lastFile) : 0
    const size = sizeOf(note, 'The checkpoint')
    return {
      note,
      source: printable(checkpoint ?? folder),
      proof: last > 0 && last < size ? proveConsistency(folder, last, note) : undefined
    }
  }
  const text = proof === undefined ? undefined : readText(proof, 'a proof of consistency')
  if (checkpoint !== undefined)
    return { note: readText(checkpoint, 'a checkpoint'), source: printable(checkpoint), proof: text }
  if (text === undefined)
    throw new VeritError('VERIT_USAGE', {
      problem: 'There is nothing to cosign',
      hint: 'Give --checkpoint, --proof or --folder'
    })
  return { note: parseProof(text, printable(proof!)).checkpoint, source: printable(proof!), proof: text }
}

export function addCosignatureCommand(): Command {
  return located(new Command('add-cosignature').summary("add a witness's cosignature to the log"))
    .description(
      'Store a cosigned checkpoint with the log (file cosigned), merged with existing cosignatures of the same ' +
        'checkpoint.'
    )
    .argument('<file>', 'checkpoint with the cosignature')
    .option(
      '--witness <key>',
      'verifier key of a witness, or a file with it, to verify its cosignature (repeatable)',
      collect
    )
    .addHelpText('after', '\nExample:\n  verit audit add-cosignature cosigned.txt --witness w1.vkey')
    .action((file: string, { witness, ...where }: Where & { witness?: string[] }) => {
      const folder = logFolder(where)
      process.stdout.write(
        addCosignature(
          folder,
          ownKey(folder),
          readText(file, 'a cosigned checkpoint'),
          printable(file),
          (witness ?? []).map(keyArgument)
        )
      )
    })
}
