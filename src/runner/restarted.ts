/**
 * Whether this process was started in place of another one (first.ts), with only its own descriptors. Only the restart
 * adds this argument, so a failed or missing restart counts as none.
 */
export const RESTARTED = 'restarted'

export const wasRestarted = (): boolean => process.argv[2] === RESTARTED
