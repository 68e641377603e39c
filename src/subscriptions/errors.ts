import { MeowError } from '../core/errors.ts'

/** Another executor owns the partition now. It handles again all events that were not acked in time. */
export class LeaseLostError extends MeowError {
  declare readonly subscription: string
  declare readonly partition: number

  constructor(subscription: string, partition: number, cause?: unknown) {
    super(
      'ERR_LEASE_LOST',
      `the lease of partition ${partition} of subscription "${subscription}" is lost: the executor that owns it now delivers its unacked events again`,
      cause,
      { subscription, partition },
    )
  }
}

/** A subscription of this name exists with a different selector or number of partitions. */
export class SubscriptionMismatchError extends MeowError {
  declare readonly subscription: string

  constructor(subscription: string, message: string) {
    super('ERR_SUBSCRIPTION_MISMATCH', message, undefined, { subscription })
  }
}

/** No subscription has this name. */
export class SubscriptionNotFoundError extends MeowError {
  declare readonly subscription: string

  constructor(subscription: string) {
    super('ERR_SUBSCRIPTION_NOT_FOUND', `there is no subscription "${subscription}"`, undefined, {
      subscription,
    })
  }
}

/**
 * A version of a projection is not made, switched to, or dropped, or its subscription is not deleted or reset, because something is
 * in the way: the message names it. Nothing was changed.
 */
export class ProjectionRefusedError extends MeowError {
  declare readonly projection: string

  constructor(projection: string, message: string, cause?: unknown) {
    super('ERR_PROJECTION_REFUSED', message, cause, { projection })
  }
}
