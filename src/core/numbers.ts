/** The highest value of PostgreSQL's `int` and of a timer in Node. */
export const MAX_INT = 2_147_483_647
