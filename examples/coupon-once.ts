// A coupon is used once, by whichever order is first: a condition without a decision model.
import { ConditionFailedError, connect } from 'meowmx'
import { openDatabase } from './support/database.ts'

await using database = await openDatabase()
await using meow = await connect(database)
await meow.migrate()

/** Without `after`, the condition says: there is no such event at all. */
async function useCoupon(order: string, coupon: string): Promise<boolean> {
  const tags = [`coupon:${coupon}`] as const
  try {
    await meow.append(
      { category: 'order', streamId: order },
      { type: 'CouponUsed', data: { coupon }, tags },
      { failIf: { query: { tags, types: ['CouponUsed'] } } },
    )
    return true
  } catch (error) {
    if (!(error instanceof ConditionFailedError)) throw error
    console.log(
      `${order}: ${coupon} was used at position ${error.event.position}, by ${error.event.stream.streamId}`,
    )
    return false
  }
}

console.log(await useCoupon('order-1', 'SPRING'))
console.log(await useCoupon('order-2', 'SPRING'))
console.log(await useCoupon('order-2', 'SUMMER'))

// Output:
// true
// order-2: SPRING was used at position 1, by order-1
// false
// true
