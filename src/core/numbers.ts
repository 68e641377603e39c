/** What PostgreSQL's `int` and a timer of Node hold at most. */
export const MAX_INT = 2_147_483_647
