import { expect, it } from 'vitest'
import { OwnNames } from './own-names.ts'

const names = new OwnNames('/srv/a (b)+')

it.each([
  [
    "SELECT 1 INTO OUTFILE '/srv/a (b)+/spool/result-12.fifo' APPEND COMPRESSION 'none' FORMAT CSV",
    'SELECT 1 FORMAT CSV',
  ],
  ["INSERT INTO t FROM INFILE '/srv/a (b)+/spool/insert-3' COMPRESSION 'none' FORMAT CSV", 'INSERT INTO t FORMAT CSV'],
  [
    String.raw`SELECT a FROM file('/srv/a (b)+/spool/insert-3', CSV, 'a Enum8(\'x\' = 1)', 'none') WHERE a`,
    String.raw`SELECT a FROM input('a Enum8(\'x\' = 1)') WHERE a`,
  ],
  ['Too short: (in file/uri /srv/a (b)+/spool/insert-3): While executing File', 'Too short: While executing File'],
  ['Cannot open file /srv/a (b)+/engine/store/x.bin', 'Cannot open file /engine/store/x.bin'],
  [
    "FROM INFILE '/srv/a (b)+/other' and (in file/uri /srv/b/spool/insert-3)",
    "FROM INFILE '/other' and (in file/uri /srv/b/spool/insert-3)",
  ],
])('shows %j as %j', (text, shown) => {
  expect(names.hiddenIn(text)).toBe(shown)
})
