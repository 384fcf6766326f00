/** Queries cut at their table expressions. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { cutQuery, tableOf } from '../../../ts/contracts/cte.ts'
import { stepSplitter } from '../../../ts/contracts/step-splitter.ts'

const CASES: [query: string, steps: string[]][] = [
  [
    'WITH a AS (SELECT 1), b AS (SELECT 2) SELECT * FROM a, b',
    ['WITH a AS (SELECT 1),', 'b AS (SELECT 2)', 'SELECT * FROM a, b'],
  ],
  [
    'with recursive t(n, m) as (values (1, 2)) select n, m from t;',
    ['with recursive t(n, m) as (values (1, 2))', 'select n, m from t;'],
  ],
  [
    'WITH a AS (\n  SELECT \')\' || "x)," -- ), b AS (\n  /* ), */ FROM t\n)\n\nSELECT 1',
    ['WITH a AS (\n  SELECT \')\' || "x)," -- ), b AS (\n  /* ), */ FROM t\n)', 'SELECT 1'],
  ],
  ['SELECT a, (SELECT 1), b FROM t', ['SELECT a, (SELECT 1), b FROM t']],
  ['Here it is:\n```sql\nWITH a AS (SELECT 1)\nSELECT * FROM a\n```\nDone.', ['WITH a AS (SELECT 1)', 'SELECT * FROM a']],
  ['```\nSELECT 1', ['SELECT 1']],
  ['WITH a AS (SELECT 1),', ['WITH a AS (SELECT 1),']],
  ['WITH a AS (SELECT 1', ['WITH a AS (SELECT 1']],
  [
    "WITH a AS (SELECT 'it''s), (') SELECT max(x), min(y) FROM a",
    ["WITH a AS (SELECT 'it''s), (')", 'SELECT max(x), min(y) FROM a'],
  ],
  ['  ', []],
]

for (const [query, steps] of CASES) {
  test(JSON.stringify(query).slice(0, 50), () => {
    assert.equal(cutQuery(query), steps)
    const splitter = stepSplitter('cte')
    assert.equal(splitter.split(query), steps)
    assert.equal(splitter.split(splitter.join(steps)), steps, 'joined and cut again')
  })
}

test('names of tables that steps define', () => {
  const names = {
    'WITH a AS (SELECT 1),': 'a',
    'with recursive t(n, m) as (values (1, 2))': 't',
    '"odd name" AS MATERIALIZED (SELECT 1)': '"odd name"',
    'b as not materialized(SELECT 1)': 'b',
    'SELECT a AS (b) FROM t': undefined,
    'SELECT 1': undefined,
  }
  for (const [step, name] of Object.entries(names)) assert.is(tableOf(step), name, step)
})

test('many brackets and quotes take no time', () => {
  const query = `WITH a AS (SELECT ${'('.repeat(50_000)}${')'.repeat(50_000)}${"'".repeat(50_001)}`
  const began = process.cpuUsage().user
  assert.is(cutQuery(query).length, 1)
  assert.is(tableOf(`${' '.repeat(50_000)}a as`), undefined)
  assert.ok(process.cpuUsage().user - began < 1e6)
})

test.run()
