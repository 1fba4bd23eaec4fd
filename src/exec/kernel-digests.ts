/**
 * SHA-256 (hexadecimal) of the kernels in each platform package of a release, by platform, such as `linux-x64`. Empty
 * in a checkout and in a package that was packed for one machine: they have kernels of their own. scripts/prepack.ts
 * writes the digests of a release into dist/.
 */
export const KERNEL_DIGESTS: Readonly<Record<string, string>> = {}
