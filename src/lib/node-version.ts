/**
 * The Node versions that run Verit. `engines` in package.json and bin/verit.cjs, which any Node can read, repeat it; a
 * test compares the three.
 */

/** The oldest Node of line 22 with all that is used here of node:sqlite, `--permission` and `--disable-sigusr1`. */
const LEAST_22 = '22.16.0'

/**
 * The versions that run Verit, as package.json has them. Line 23 never had long-term support, and its releases lack
 * some of that.
 */
export const NODE_RANGE = `^${LEAST_22} || >=24.0.0`

/** The same in words. */
export const NODE_NEEDED = `Node ${LEAST_22} or a later 22, or Node 24 or newer`

/** Whether this Node runs Verit. @param version `major.minor.patch`, as `process.versions.node` has it */
export function runsHere(version: string = process.versions.node): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const [leastMajor = 0, leastMinor = 0] = LEAST_22.split('.').map(Number)
  return major >= 24 || (major === leastMajor && minor >= leastMinor)
}
