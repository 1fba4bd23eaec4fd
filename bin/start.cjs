/*
 * Starts the program on a Node that is new enough. A file of its own: a Node that is too old cannot read `import()`.
 */
'use strict'

// Node answers SIGUSR1 by opening its debugger until something else listens for it.
process.on('SIGUSR1', function () {})

// Node 22 warns that its SQLite is new. The line would stand between the JSON lines of a server's log.
var emitWarning = process.emitWarning
process.emitWarning = function (warning, type) {
  if (type === 'ExperimentalWarning' && String(warning).startsWith('SQLite is')) return
  return emitWarning.apply(process, arguments)
}

import('../dist/cli/main.js')
