/**
 * Throws on a Node that is too old. Entry points import this file first: a module's imports are evaluated in order, so
 * this error comes before any that a missing built-in would cause.
 */
import { VeritError } from './errors.ts'
import { NODE_NEEDED, runsHere } from './node-version.ts'

if (!runsHere()) throw new VeritError('VERIT_NODE', { node: process.versions.node, needed: NODE_NEEDED })
