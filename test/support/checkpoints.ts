import { pgClient, storeSchema } from './store.ts'

/** What the store knows of a subscription's only partition. */
export async function checkpoint(
  subscription: string,
  schema = storeSchema,
): Promise<{ position: number; epoch: number; owner: string | null }> {
  const client = await pgClient()
  const { rows } = await client.query(
    `select position, epoch, owner from ${client.escapeIdentifier(schema)}.checkpoints where subscription = $1`,
    [subscription],
  )
  await client.end()
  const [{ position, epoch, owner }] = rows as [{ position: string; epoch: string; owner: string | null }]
  return { position: Number(position), epoch: Number(epoch), owner }
}
