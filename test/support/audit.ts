import { pgClient, storeSchema } from './store.ts'

/** One write of a checkpoint. */
export interface Audited {
  readonly partition: number
  readonly position: number
  readonly epoch: number
  readonly owner: string | null
  /** When it was written, in ms since 1970; earlier than its commit. */
  readonly at: number
}

/** From now on the store records every change of its checkpoints. */
export async function startAudit(schema = storeSchema): Promise<void> {
  const sql = await pgClient()
  await sql.query(`
    create table ${schema}.audit (
      n bigint generated always as identity primary key, subscription text, partition int, position bigint, epoch bigint,
      owner text, at double precision
    );
    create function ${schema}.audit() returns trigger language plpgsql as $$
    begin
      insert into ${schema}.audit (subscription, partition, position, epoch, owner, at)
      values (new.subscription, new.partition, new.position, new.epoch, new.owner,
              extract(epoch from clock_timestamp()) * 1000);
      return null;
    end $$;
    create trigger audit after insert or update on ${schema}.checkpoints
      for each row execute function ${schema}.audit();`)
}

/** In the order of writing. */
export async function audited(subscription: string, schema = storeSchema): Promise<Audited[]> {
  const sql = await pgClient()
  const { rows } = await sql.query(
    `select partition, position::int, epoch::int, owner, at from ${schema}.audit where subscription = $1 order by n`,
    [subscription],
  )
  return rows
}

/** Who owns which partitions now, by process id; leases that ran out don't count. */
export async function owners(subscription: string, schema = storeSchema): Promise<Map<number, number[]>> {
  const sql = await pgClient()
  const { rows } = await sql.query(
    `select partition, split_part(owner, ':', 2)::int as pid from ${schema}.checkpoints
     where subscription = $1 and owner is not null and lease_until > clock_timestamp() order by partition`,
    [subscription],
  )
  await sql.end()
  const owned = new Map<number, number[]>()
  for (const { partition, pid } of rows) owned.set(pid, [...(owned.get(pid) ?? []), partition])
  return owned
}

/** How many partitions each owner has now, the most first; leases that ran out don't count. */
export async function shares(subscription: string, schema = storeSchema): Promise<number[]> {
  const sql = await pgClient()
  const { rows } = await sql.query(
    `select count(*)::int as share from ${schema}.checkpoints
     where subscription = $1 and owner is not null and lease_until > clock_timestamp() group by owner order by 1 desc`,
    [subscription],
  )
  await sql.end()
  return rows.map(({ share }) => share)
}
