/**
 * The files of sql/schema of each release, by their SHA-256: a released file is never edited, because no store would run it
 * again. With a release, add what is new in it; the first entry is the oldest store that `migrate()` has to take along.
 */
export const released: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  // Not out yet: until it is, a file that has to change brings its new hash along.
  '0.1.0': {
    '001_events.sql': '25d24ed5728c37781e513fbcee2cd8ee86754e6c856905a7d5979c86c22aa7d1',
    '004_coalescing_until.sql': 'a7f5d314e23ff0dc70d35fd507cc9fd94ca3fdf0ec7e700435560ff6830cc6ad',
    '006_subscriptions.sql': '504afbabba47441e82819acc534534b862442dbf01f912aa277c654e78080a22',
    '009_waiters.sql': '589ce1e0597bb13d868eaf5088a2d7910ca2e34b243f20055abd5bc3e8a52bdc',
    '010_publisher.sql': '50fb737791c3dacab27c54f6e9e09739370118519446ec4c6bcfe52d38d0df4f',
    '011_snapshots.sql': '27ccdbb03a1383ae8e8813d6ff6bd222d2792d25241dbf495e5e4e3050e3d632',
    '012_tombstones.sql': '3077c2bf59b0ce5e576d38b7c31c8d85f0cb2cba72582f533d247573af8fbcd2',
    '013_functions.sql': '5c33785a158be6dfb900604c4194198e5e4209545d5f2f22e5b6777d73a90946',
    '014_operating.sql': '32cc239555b8dbea5e6fbd335fcf6235dd0afa3b885823e9b30c095f6bf54b2e',
    '015_projections.sql': 'd63818df038574c092564d764cbc2403df66db32a185b2bd37210374de19b21c',
    '016_tags.sql': '45701c5447c0a559a050190ddbd454cf460b49961b53a52e1da35dbc728fe7d3',
    '017_timers.sql': 'cb69a8077b8e1d2d24182fbcdc035cbeeed8f80be2589d77e5f1a6b1de8ca412',
    '018_processes.sql': 'e4fd8534a22e69dd57704e3d3c57535ca1bcdacd284eed16e71effdb061ed401',
  },
}
