/**
 * Whether this process was run in the place of another one (first.ts), with no descriptor but its own. It is said by
 * the argument that only the restart adds, so that a restart that failed, or that nobody tried, counts as none.
 */
export const RESTARTED = 'restarted'

export const wasRestarted = (): boolean => process.argv[2] === RESTARTED
