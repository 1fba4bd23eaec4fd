/** `verit keys`: makes, lists and revokes API keys in the state folder, whether or not a server runs on it. */
import { Command, Option } from 'commander'
import { VeritError } from '../lib/errors.ts'
import { printable, printableJson } from '../lib/printable.ts'
import { scopes as allScopes } from '../store/key-store.ts'
import type { KeyRecord, KeyStore, Scope } from '../store/key-store.ts'
import { SqliteKeyStore } from '../store/sqlite-key-store.ts'
import { defaultStateFolder } from '../store/state-folder.ts'

interface Common {
  state: string
  json?: boolean
}

const withStore = <T>(state: string, work: (store: KeyStore) => T): T => {
  const store = new SqliteKeyStore(state)
  try {
    return work(store)
  } finally {
    store.close()
  }
}

const shared = (command: Command): Command => command
  .option('--state <folder>', 'folder of keys and the server\'s secret', defaultStateFolder())
  .option('--json', 'print JSON')

export function command(): Command {
  const keys = new Command('keys').summary('create, list and revoke API keys')
    .description('Create, list and revoke API keys. A running server heeds a change from its next request on.')
  keys.addCommand(shared(new Command('create').description('Make a key and show it, once.'))
    .option('--name <name>', 'whose it is, or what for', 'unnamed')
    .addOption(new Option('--scope <scopes...>', 'what it may do').choices(allScopes).default([...allScopes]))
    .addHelpText('after', '\nExamples:\n  verit keys create --name laptop\n  export VERIT_API_KEY=$(verit keys create --name ci --scope infer)')
    .action(({ state, json, name, scope }: Common & { name: string; scope: Scope[] }) => {
      if (name.length < 1 || name.length > 64 || printable(name) !== name) {
        throw new VeritError('VERIT_USAGE', { problem: 'The name of a key must be 1 to 64 printable characters', hint: 'Choose another with --name' })
      }
      const { key, record } = withStore(state, store => store.create(name, scope))
      if (json === true) return void process.stdout.write(`${printableJson({ key, ...record })}\n`)
      process.stderr.write(`${record.id} (${name}; ${record.scopes.join(', ')}). The key is shown this once and stored only as a hash:\n`)
      process.stdout.write(`${key}\n`)
    }))
  keys.addCommand(shared(new Command('list').description('List all keys by their public ids.'))
    .addHelpText('after', '\nExamples:\n  verit keys list\n  verit keys list --json | jq -r .[].id')
    .action(({ state, json }: Common) => {
      const list = withStore(state, store => store.list())
      if (json === true) return void process.stdout.write(`${printableJson(list)}\n`)
      const validity = (k: KeyRecord): string => (k.revoked === undefined ? 'valid  ' : 'revoked')
      const lines = list.map(k => `${k.id}  ${k.created.slice(0, 16)}Z  ${validity(k)}  ${k.scopes.join(',').padEnd(12)}  ${printable(k.name)}\n`)
      process.stdout.write(lines.join('') || 'There are no keys yet; `verit keys create` makes one.\n')
    }))
  keys.addCommand(shared(new Command('revoke').description('Refuse a key from now on. There is no way back.'))
    .argument('<id>', 'its public id, key_...')
    .addHelpText('after', '\nExample:\n  verit keys revoke key_0123456789ab')
    .action((id: string, { state, json }: Common) => {
      const record = withStore(state, store => store.revoke(id))
      if (record === undefined) {
        throw new VeritError('VERIT_USAGE', { problem: `There is no key ${printable(id, 80)}`, hint: '`verit keys list` shows the ids' })
      }
      const line = `${record.id} (${printable(record.name)}) is revoked since ${record.revoked}`
      process.stdout.write(`${json === true ? printableJson(record) : line}\n`)
    }))
  return keys
}
