/**
 * Loaded first (`node --import`), it takes from pg a part that fast queries need, as a later version of pg may. Then pg runs
 * all queries in its own way. `npm run test:plain` runs the whole suite like this.
 */
import pg from 'pg'

delete pg.utils
