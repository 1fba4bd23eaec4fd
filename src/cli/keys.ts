/**
 * `verit keys`: makes, shows, changes and revokes API keys in the server's store, whether or not a server runs on it.
 */
import { Command } from 'commander'
import { defined } from '../lib/defined.ts'
import { VeritError } from '../lib/errors.ts'
import { printable, printableJson } from '../lib/printable.ts'
import type { KeyChange, KeyRecord } from '../store/key-store.ts'
import { serverKey } from '../server/server-key.ts'
import { ed25519ToSpki } from '../trust/ed25519.ts'
import { acceptClockCommand } from './keys-clock.ts'
import { createCommand, rotateCommand } from './keys-make.ts'
import {
  checkBegun,
  fieldsOf,
  limitsOf,
  noSuchKey,
  notValid,
  policyOptions,
  shared,
  withStore
} from './keys-options.ts'
import type { Common, Policy } from './keys-options.ts'
import { listText, showText } from './keys-text.ts'

export function command(): Command {
  const keys = new Command('keys')
    .summary('create, list, show, rotate, change and revoke API keys')
    .description(
      'Create, list, show, rotate, change and revoke API keys. Changes apply from the next request on. If ' +
        'VERIT_DATABASE_URL or VERIT_DATABASE_URL_FILE is set, the keys are in that PostgreSQL database.'
    )
    .addHelpText(
      'after',
      '\nExamples:\n  verit keys create --name laptop\n  verit keys list\n  verit keys rotate key_0123456789ab\n  ' +
        'verit keys revoke key_0123456789ab'
    )
  const parts = [
    createCommand,
    listCommand,
    showCommand,
    rotateCommand,
    changeCommand,
    revokeCommand,
    serverKeyCommand,
    acceptClockCommand
  ]
  for (const make of parts) keys.addCommand(make())
  return keys
}

function listCommand(): Command {
  return shared(new Command('list').description('List all keys by their public ids.'))
    .addHelpText('after', '\nExamples:\n  verit keys list\n  verit keys list --json | jq -r .[].id')
    .action(async ({ state, json }: Common) => {
      const { list, now } = await withStore(state, async store => ({
        list: await store.keys.list(),
        now: store.clock.now()
      }))
      process.stdout.write(json === true ? `${printableJson(list)}\n` : listText(list, process.stdout.isTTY, now))
    })
}

function showCommand(): Command {
  return shared(new Command('show').description('Show scopes, credentials, limits and usage of a key.'))
    .argument('<id>', 'public id of the key, key_...')
    .addHelpText(
      'after',
      '\nExamples:\n  verit keys show key_0123456789ab\n  verit keys show key_0123456789ab --json | jq .usage.day.used'
    )
    .action(async (id: string, { state, json }: Common) => {
      const { record, usage, now } = await withStore(state, async store => {
        const now = store.clock.now()
        return { record: await store.keys.get(id), usage: await store.budgets.usage(id, now), now }
      })
      if (record === undefined) throw noSuchKey(id)
      process.stdout.write(json === true ? `${printableJson({ ...record, usage })}\n` : showText(record, usage, now))
    })
}

function changeCommand(): Command {
  const command = shared(new Command('change').description('Change fields of a key. All other fields stay.'))
    .argument('<id>', 'public id of the key, key_...')
    .option('--name <name>', 'name of the client or its purpose')
  return policyOptions(command)
    .option('--any-model', 'allow all models')
    .option('--any-address', 'allow all addresses')
    .addHelpText(
      'after',
      `
--expires never takes its end away; none as a limit gives it the server's.

Examples:
  verit keys change key_0123456789ab --tokens-per-day 500000 --streams none
  verit keys change key_0123456789ab --expires 2027-06-30 --address 10.0.0.0/8
  verit keys change key_0123456789ab --any-address`
    )
    .action(async (id: string, options: Common & Policy & { anyModel?: boolean; anyAddress?: boolean }) => {
      const { anyModel, anyAddress, model, address } = options
      if ((anyModel === true && model !== undefined) || (anyAddress === true && address !== undefined)) {
        throw new VeritError('VERIT_USAGE', {
          problem: 'A list and the option for all of them cannot go together',
          hint: 'Leave one of them out'
        })
      }
      const { before, after } = await withStore(options.state, async store => {
        const before = await store.keys.get(id)
        if (before === undefined) throw notValid(id)
        const change: KeyChange = {
          ...fieldsOf(options),
          ...(anyModel === true && { models: [] }),
          ...(anyAddress === true && { addresses: [] }),
          ...defined({ limits: limitsOf(options, before.limits) }),
          ...(options.expires !== undefined && { expires: options.expires === 'never' ? undefined : options.expires })
        }
        if (Object.keys(change).length === 0) {
          throw new VeritError('VERIT_USAGE', {
            problem: 'Nothing to change was named',
            hint: '`verit keys change --help` lists what can be'
          })
        }
        return { before, after: await store.keys.change(id, change, 'cli') }
      })
      if (after === undefined) throw notValid(id)
      process.stdout.write(
        options.json === true ? `${printableJson(after)}\n` : `${after.id} (${printable(after.name)}) is changed.\n`
      )
      if (before.signing === 'never' && after.signing === 'optional') {
        process.stderr.write(
          `It has nothing to sign with yet: \`verit keys rotate ${after.id}\` makes it a secret that can.\n`
        )
      }
    })
}

function revokeCommand(): Command {
  return shared(new Command('revoke').description('Revoke keys for good, and end their running answers.'))
    .argument('<ids...>', 'public ids of the keys, key_...')
    .addHelpText(
      'after',
      '\nExamples:\n  verit keys revoke key_0123456789ab\n  verit keys revoke key_0123456789ab key_ba9876543210'
    )
    .action(async (ids: string[], { state, json }: Common) => {
      const records = await withStore(state, async store => {
        const records: (KeyRecord | undefined)[] = []
        for (const id of ids) records.push(await store.keys.revoke(id, 'cli'))
        return records
      })
      for (const record of records) {
        if (record === undefined) continue
        const line = `${record.id} (${printable(record.name)}) is revoked since ${record.revoked}`
        process.stdout.write(`${json === true ? printableJson(record) : line}\n`)
      }
      const unknown = ids.find((_, i) => records[i] === undefined)
      if (unknown !== undefined) throw noSuchKey(unknown)
    })
}

function serverKeyCommand(): Command {
  return shared(
    new Command('server-key').description(
      'Show the public key with which clients verify signed answers of this server.'
    )
  )
    .addHelpText(
      'after',
      `
Examples:
  verit keys server-key > server-key.txt
  verit call /v1/models --key-file key.json --server-key "$(verit keys server-key)"`
    )
    .action(({ state, json }: Common) => {
      checkBegun(state)
      const { keyId, privateKey } = serverKey(state)
      const publicKey = ed25519ToSpki(privateKey).toString('base64')
      process.stdout.write(json === true ? `${printableJson({ keyid: keyId, publicKey })}\n` : `${publicKey}\n`)
    })
}
