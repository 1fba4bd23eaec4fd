/** Which Node runs Verit. `engines` in package.json and bin/verit.cjs, which any Node can read, name the same version; a test compares the three. */

/** 22.14 is the first with everything that is used here: node:sqlite, `--permission` and `--disable-sigusr1` without flags of their own. */
export const LEAST_NODE = '22.14.0'

/** Whether this Node is new enough. @param version `major.minor.patch`, as `process.versions.node` has it */
export function runsHere(version: string = process.versions.node): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const [leastMajor = 0, leastMinor = 0] = LEAST_NODE.split('.').map(Number)
  return major > leastMajor || (major === leastMajor && minor >= leastMinor)
}
