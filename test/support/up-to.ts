/** The integers from 0 up to `count`, not including it. */
export const upTo = (count: number): number[] => Array.from({ length: count }, (_, n) => n)
