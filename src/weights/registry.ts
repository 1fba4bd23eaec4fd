/**
 * The registry of weight formats: one row for each ggml type that Verit computes with. Add a type by adding its row to
 * a family file. `ggufTypes` also knows the sizes of types without a row here, which Verit lists and copies only.
 */
import { codebooks } from './codebooks.ts'
import { floats } from './floats.ts'
import { legacyBlocks } from './legacy-blocks.ts'
import { superBlocks } from './super-blocks.ts'
import { ternaryTypes } from './ternary.ts'
import type { WeightType } from './weight-type.ts'

const rows = { ...floats, ...legacyBlocks, ...superBlocks, ...codebooks, ...ternaryTypes }

export type WeightTypeName = keyof typeof rows

export type TernaryTypeName = keyof typeof ternaryTypes

/** All rows by name, simple types first. */
export const weightTypes: ReadonlyMap<string, WeightType> = new Map(Object.entries(rows))

/** Types that Verit writes, besides the ternary ones. */
export const encodedTypes: readonly WeightTypeName[] = (Object.keys(rows) as WeightTypeName[]).filter(
  name => weightTypes.get(name)!.encode !== undefined
)

export const ternaryTypeNames = Object.keys(ternaryTypes) as TernaryTypeName[]

/** The row of a type that has one. */
export const weightType = (name: WeightTypeName): WeightType => rows[name]

export const isWeightType = (name: string): name is WeightTypeName => weightTypes.has(name)

export const isTernaryType = (name: string): name is TernaryTypeName => weightTypes.get(name)?.ternary !== undefined
