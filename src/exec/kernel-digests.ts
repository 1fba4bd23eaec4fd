/**
 * SHA-256 (hexadecimal) of the kernels in each platform package of a release, by platform, such as `linux-x64`. Empty
 * in a checkout and in a package made for one machine, which have their own kernels. scripts/prepack.ts writes the
 * digests of a release into dist/.
 */
export const KERNEL_DIGESTS: Readonly<Record<string, string>> = {}
