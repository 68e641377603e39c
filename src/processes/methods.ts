// The methods of a store for process managers, with their documentation.
import type { AnyCategory } from '../events/types.ts'
import type { Worker } from '../subscriptions/worker.ts'
import type { ProcessManager } from './define.ts'
import type { ProcessInstance, ProcessInstancesOptions } from './processes.ts'

/** Every kind of store has these. */
export interface ProcessManagerMethods {
  /**
   * Runs a process manager (`defineProcessManager`) in this process; run it in as many as you like. It is a durable
   * subscription of the same name, so it can be paused, and has parked events and a lag.
   *
   * An input locks its instance, so each instance has one input at a time. Its new state, the events that it appends (caused by
   * the input), its timers and the checkpoint are written in one transaction: exactly once. An input that fails is tried again, then
   * parked like any event; a timer that fails is tried again, then kept as failed (`processInstances`, `retryProcessTimers`).
   *
   * The role must be able to append and to subscribe (SECURITY.md).
   *
   * @throws ValidationError if the definition is invalid; ClosedError if the store is closed
   * @example
   * const worker = meow.runProcessManager(deadline)
   * await worker.stop()
   */
  runProcessManager<C extends string | AnyCategory, S, T extends string>(
    processManager: ProcessManager<C, S, T>,
  ): Worker

  /**
   * Returns the instances of a process manager with their states and timers, those that changed last first.
   *
   * @param options `id`: only this one; `limit`: default 100, minimum 1, maximum 100_000
   * @throws SubscriptionNotFoundError if there is no process manager with this name
   * @example
   * const [order] = await meow.processInstances('payment-deadline', { id: '42' })
   * console.log(order?.state, order?.timers)
   */
  processInstances(name: string, options?: ProcessInstancesOptions): Promise<ProcessInstance[]>
}

/** A store in PostgreSQL also has these. */
export interface PostgresProcessManagerMethods extends ProcessManagerMethods {
  /**
   * Tries timers of a process manager that have failed again now: those of all instances, or of one (`id`).
   *
   * @returns how many
   * @throws SubscriptionNotFoundError if there is no process manager with this name
   * @example
   * await meow.retryProcessTimers('payment-deadline', { id: '42' })
   */
  retryProcessTimers(name: string, options?: { id?: string | undefined }): Promise<number>

  /**
   * Deletes an instance of a process manager, with its state and timers, for instance because they contain personal data. A later
   * event begins a new one.
   *
   * @returns whether there was one
   * @example
   * await meow.deleteProcessInstance('payment-deadline', '42')
   */
  deleteProcessInstance(name: string, id: string): Promise<boolean>
}
