// The methods of a store for projections, with their documentation.
import type { AnyCategory } from '../events/types.ts'
import type { ProjectionDefinition } from './definition.ts'
import type { ProjectionInfo } from './list.ts'
import type { Projection } from './projection.ts'
import type { RebuildOptions, SwitchOptions } from './projections.ts'

/** A store in PostgreSQL has these. */
export interface ProjectionMethods {
  /**
   * Returns one version of a projection, a read model in tables of its own: `start()` runs it in this process.
   *
   * @param definition what `defineProjection` returns
   * @throws ValidationError if the definition is invalid, or the name of its schema would be too long
   * @example
   * const projection = meow.projection(orders)
   * const worker = projection.start()
   */
  projection<C extends string | AnyCategory = string>(definition: ProjectionDefinition<C>): Projection

  /**
   * Returns the versions of all projections, sorted by name and version, with their states and their progress. A rebuild that is
   * under way is one more entry, with a higher `generation`.
   *
   * @example
   * for (const { name, version, state, lag } of await meow.projections()) console.log(name, version, state, lag)
   */
  projections(): Promise<ProjectionInfo[]>

  /**
   * Makes a version of a projection the live one, a newer or an older one, in one transaction: readers see all views of the one
   * version or of the other. Privileges and comments of the views stay. If it is live already, nothing changes.
   *
   * The version must be complete. A version that runs shows at least what the live one has shown. An older version that no
   * process runs may be behind, but you can still go back to it.
   *
   * @throws ProjectionRefusedError if it is not complete, or other objects depend on a view that would lose or change columns: the
   *   message names them; nothing was changed
   * @throws ProjectionNotFoundError if there is no such version
   * @throws TimeoutError after `timeoutMs` (default 30_000), if long queries use the views all the time
   * @example
   * await meow.activateProjection('orders', 1)
   */
  activateProjection(name: string, version: number, options?: SwitchOptions): Promise<void>

  /**
   * Builds the live version of a projection once more, beside itself, and switches over: readers notice nothing. Processes that run
   * this version do the work. It resolves when it is done; if it rejects before, or this process ends, the rebuild goes on, and
   * another call waits for it.
   *
   * @throws ProjectionRefusedError if no process runs the live version, or streams were parked, so the rebuild does not take
   * over
   * @throws ProjectionNotFoundError if there is no live version
   * @throws TimeoutError after `timeoutMs` (default: no limit)
   * @example
   * await meow.rebuildProjection('orders')
   */
  rebuildProjection(name: string, options?: RebuildOptions): Promise<void>

  /**
   * Drops a version of a projection with its tables and its subscription. Its processes end with an error. A version that was live
   * once does not come back if an old process starts it; one that was never live can be built again under the same number.
   *
   * @throws ProjectionRefusedError if the version is live, or other objects depend on its tables: the message names them
   * @throws ProjectionNotFoundError if there is no such version
   * @throws TimeoutError after `timeoutMs` (default 30_000), if somebody uses its tables all the time
   * @example
   * await meow.dropProjection('orders', 1)
   */
  dropProjection(name: string, version: number, options?: SwitchOptions): Promise<void>
}
