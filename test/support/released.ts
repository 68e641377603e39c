/**
 * The files of sql/schema of each release, by their SHA-256: once released a file is never edited, for nobody would run it again. With
 * a release, add what is new in it; the first entry is the oldest store that `migrate()` has to take along.
 */
export const released: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  // Not out yet: until it is, a file that has to change brings its new hash along.
  '0.1.0': {
    '001_events.sql': '229d1328a22c6c7a69f2a1c93b7ccd688c6851d47890d06e6791bab558981a5f',
    '004_quiet_until.sql': 'cc9a2565f23fbaef52e5bfbd4849834a168945b1ba2cb8a747d99cd620dff6b7',
    '006_subscriptions.sql': '5d05072452601f335ec85d4e400ace07858b9e7815c65eb69c9083cda4cdd87a',
    '009_waiters.sql': 'a78e92dbccdb95b157203edd7de44505ce9a869e9627c994d2c147f56148bf91',
    '010_conductor.sql': 'a897cb3da9bfbf0079db3a0fe14f8ff34fa9decf01420cc2153a7b0558456992',
    '011_snapshots.sql': '27ccdbb03a1383ae8e8813d6ff6bd222d2792d25241dbf495e5e4e3050e3d632',
    '012_tombstones.sql': 'f5790cc5fb8563eb95c81244ae6a53f37cba26b8cf4c0854718d459ebeda1641',
    '013_functions.sql': '1c292aac3f1389bf03837de6d1b7cb5dfb639d93cf1d985d3988429d0d638a5d',
  },
}
