/** `verit keys accept-clock`: the way out where the store's time is ahead, because a clock once was. */
import { Command } from 'commander'
import { printableJson } from '../lib/printable.ts'
import { shared, withStore } from './keys-options.ts'
import type { Common } from './keys-options.ts'

const shown = (time: Date): string => `${time.toISOString().slice(0, 19).replace('T', ' ')} UTC`

export function acceptClockCommand(): Command {
  return shared(
    new Command('accept-clock')
      .summary('reset the time of the store after the clock was ahead by mistake')
      .description(
        'Reset the time of the store to the clock. The store keeps the latest time it has seen, so that expired ' +
          'keys stay expired. After the clock was ahead by mistake, signed requests are refused and keys seem ' +
          'expired until it has caught up. Correct the clock first.'
      )
  )
    .addHelpText(
      'after',
      `
The change is an entry of the audit log. Keys that expired meanwhile are valid again
until their end. Nonces of signed requests that were made while the clock was ahead are
forgotten: rotate the keys that signed then (docs/internals/keys.md).

Example:
  verit keys accept-clock`
    )
    .action(async ({ state, json }: Common) => {
      const accepted = await withStore(state, store => store.clock.accept('cli'), { warn: false })
      if (json === true) return void process.stdout.write(`${printableJson(accepted ?? { unchanged: true })}\n`)
      if (accepted === undefined) {
        return void process.stdout.write("The store's time is not ahead of the clock: nothing was changed.\n")
      }
      const { before, after } = accepted
      process.stdout.write(
        `The store's time was ${shown(before)} and is now ${shown(after)}. ` +
          'A running server applies it within 5 seconds.\n' +
          'Rotate the keys that signed requests while the clock was ' +
          'ahead: verit audit search --type request, then verit keys rotate ID\n'
      )
    })
}
