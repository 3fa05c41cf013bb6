import assert from 'node:assert/strict';
import { test } from 'node:test';
import { shorten } from './build/tables.js';

const table = (rows) => ['| a | b |', '|---|--:|', ...Array.from({ length: rows }, (_, row) => `| r${row} | ${row} |`)];

test('a long table becomes a file and leaves its beginning', () => {
  const { text, files } = shorten(['Here:', '', ...table(5), '', 'That is all.'].join('\n'), 4);
  assert.equal(
    text,
    'Here:\n\n| a | b |\n|---|--:|\n| r0 | 0 |\n| r1 | 1 |\n| r2 | 2 |\n\n(5 rows: all of them in table-1.csv)\n\nThat is all.',
  );
  assert.deepEqual(files, [{ name: 'table-1.csv', csv: 'a,b\r\nr0,0\r\nr1,1\r\nr2,2\r\nr3,3\r\nr4,4\r\n' }]);
});

test('what is short, or code, or no table stays as it is', () => {
  for (const lines of [table(4), ['```', ...table(9), '```'], ['a | b', 'c | d', 'e | f', 'g | h', 'i | j', 'k | l']]) {
    const text = lines.join('\n');
    assert.deepEqual(shorten(text, 4), { text, files: [] });
  }
});

test('cells are quoted, and none is a formula', () => {
  const rows = ['| "x" | =cmd() |', '| a, b | -5 |', '| a\\|b | -x |', '| | +1.5% |', '| 1 | 2 |'];
  const { files } = shorten(['| a | b |', '|-|-|', ...rows].join('\n'), 4);
  assert.equal(files[0].csv, 'a,b\r\n"""x""",\'=cmd()\r\n"a, b",-5\r\na|b,\'-x\r\n,+1.5%\r\n1,2\r\n');
});
