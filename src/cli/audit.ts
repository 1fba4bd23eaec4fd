/** `verit audit`: reads, proves and verifies the audit log of a server, whether or not that runs. */
import { Command } from 'commander'
import { searchCommand, tailCommand, textsCommand, textsKeyCommand } from './audit-entries.ts'
import { checkpointCommand, exportCommand, keyCommand, proveCommand, verifyCommand } from './audit-proofs.ts'
import { addCosignatureCommand, witnessCommand, witnessKeyCommand } from './audit-witness.ts'

export function command(): Command {
  const audit = new Command('audit')
    .summary('read, prove and verify the audit log')
    .description(
      'Read, prove and verify the audit log of a server. The log is a Merkle tree over every request, refusal and ' +
        'change; the server signs its checkpoints. Guide: docs/guide/audit.md.'
    )
    .addHelpText(
      'after',
      '\nExamples:\n  verit audit tail --follow\n  verit audit key > log.vkey\n  verit audit verify --key ' +
        'log.vkey --checkpoint last-month.txt'
    )
  const parts = [
    tailCommand,
    searchCommand,
    verifyCommand,
    proveCommand,
    keyCommand,
    checkpointCommand,
    exportCommand,
    witnessKeyCommand,
    witnessCommand,
    addCosignatureCommand,
    textsKeyCommand,
    textsCommand
  ]
  for (const part of parts) audit.addCommand(part())
  return audit
}
