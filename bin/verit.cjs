#!/usr/bin/env node
/*
 * The command of the installed package. It is written in the oldest JavaScript, so that any Node can read it: one that
 * is too old says so in one sentence. The program itself is dist/cli/main.js.
 */
'use strict'

// What src/lib/node-version.ts says, too; a test compares them.
var NEEDED = 'Node 22.16.0 or a later 22, or Node 24 or newer'
var parts = process.versions.node.split('.')
var major = Number(parts[0])
var minor = Number(parts[1])

if (major >= 24 || (major === 22 && minor >= 16)) {
  require('./start.cjs')
} else {
  process.stderr.write(
    'verit: Verit needs ' +
      NEEDED +
      '; this is Node ' +
      process.versions.node +
      '. ' +
      'Install a newer Node (https://nodejs.org/en/download) and run the same command again. [VERIT_NODE]\n'
  )
  process.exitCode = 1
}
