// close() ends cleanly: running handlers finish, their acks are written, and it makes no event come twice.
import { concatMap } from 'rxjs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { checkpoint } from './support/checkpoints.ts'
import { gate } from './support/gate.ts'
import { closeAll, openStore, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const drain = suite('drain: close() lets consumers finish')
drain.after(closeAll)

drain('a handler in hand may append and read; its event is acked', async () => {
  const direct = await openStore()
  const meow = await openStore()
  const [category, name] = [uniqueName('drain'), uniqueName('drain')]
  const { position } = await direct.append({ category, streamId: '1' }, { type: 'Asked', data: {} })
  const begun = gate()
  const go = gate()
  const worker = meow.subscription(name, { category, types: ['Asked'] }).process(async () => {
    begun.open()
    await go.opened
    await meow.append({ category, streamId: '2' }, { type: 'Answered', data: {} })
    assert.is((await meow.load({ category, streamId: '2' })).length, 1)
  })
  await begun.opened
  const closing = meow.close()
  go.open()
  await closing
  await worker.done
  assert.is((await checkpoint(name)).position, position)
  const refused = await meow
    .append({ category, streamId: '3' }, { type: 'Late', data: {} })
    .catch((error) => error)
  assert.is(refused.code, 'ERR_CLOSED')
})

drain('deliveries in hand can be acked while the store closes', async () => {
  const direct = await openStore()
  const meow = await openStore()
  const [category, name] = [uniqueName('drain'), uniqueName('drain')]
  const { position } = await direct.append({ category, streamId: '1' }, { type: 'Happened', data: {} })
  const begun = gate()
  const go = gate()
  let failure: unknown
  let complete = false
  meow
    .subscription(name, { category })
    .deliveries()
    .pipe(
      concatMap(async (delivery) => {
        begun.open()
        await go.opened
        await delivery.ack()
      }),
    )
    .subscribe({
      error: (error) => {
        failure = error
      },
      complete: () => {
        complete = true
      },
    })
  await begun.opened
  const closing = meow.close()
  go.open()
  await closing
  await until(() => complete, { what: 'the Observable to complete' })
  assert.is(failure, undefined)
  assert.is((await checkpoint(name)).position, position)
})

drain.run()
