#!/usr/bin/env node
/*
 * The command of the installed package. It is written in the oldest JavaScript, so that any Node can read it: one that is too old says
 * so in one sentence. The program itself is dist/cli/main.js.
 */
'use strict'

// The same version as in package.json and src/lib/node-version.ts; a test compares them.
var LEAST = [22, 14, 0]
var parts = process.versions.node.split('.')
var major = Number(parts[0])
var minor = Number(parts[1])

if (major < LEAST[0] || (major === LEAST[0] && minor < LEAST[1])) {
  process.stderr.write(
    'verit: Verit needs Node ' + LEAST.join('.') + ' or newer; this is Node ' + process.versions.node + '. '
    + 'Install a newer Node (https://nodejs.org/en/download) and run the same command again. [VERIT_NODE]\n'
  )
  process.exitCode = 1
} else {
  require('./start.cjs')
}
