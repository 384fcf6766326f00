/** Instruction sets of processors that there are kernels for, each a superset of the one before. */
export const ISAS = ['reference', 'avx2', 'avx512', 'avx512bf16'] as const
export type Isa = (typeof ISAS)[number]
