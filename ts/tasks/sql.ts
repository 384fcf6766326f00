/** Text-to-SQL problems made by seed: a small shop's database, a question, and the query whose rows answer it. */
import { seededRandom } from '../contracts/random.ts'
import type { Level } from './family.ts'

export interface SqlProblem {
  id: string
  db_id: string
  level: Level
  /** Schema and question. */
  question: string
  /** A query of table expressions, one step a line. */
  answer: string
}

export interface SqlDatabase {
  db_id: string
  /** Statements that make it. */
  statements: string[]
}

const NAMES = ['apple', 'brush', 'candle', 'drum', 'easel', 'flute', 'globe', 'hammer', 'inkpot', 'jar', 'kite', 'lamp']
const KINDS = ['food', 'tool', 'toy'] as const
const DAYS = 10
const SALES = 60
/** Databases of one seed; problems take them in turn. */
export const SQL_DATABASES = 4

const SCHEMA = [
  'CREATE TABLE product (id INTEGER PRIMARY KEY, name TEXT NOT NULL, kind TEXT NOT NULL, price INTEGER NOT NULL)',
  'CREATE TABLE sale (id INTEGER PRIMARY KEY, product_id INTEGER NOT NULL REFERENCES product, day INTEGER NOT NULL, amount INTEGER NOT NULL)',
]

type Draw = (low: number, high: number) => number
const drawFrom = (seed: string): Draw => {
  const random = seededRandom(seed)
  return (low, high) => low + Math.floor(random() * (high - low + 1))
}

export function sqlDatabase(seed: string | number, index: number): SqlDatabase {
  const db_id = `shop_${seed}_${index}`
  const draw = drawFrom(db_id)
  const products = NAMES.map((name, i) => `(${i + 1}, '${name}', '${KINDS[draw(0, KINDS.length - 1)]}', ${draw(1, 40)})`)
  const sales = Array.from({ length: SALES }, (_, i) => `(${i + 1}, ${draw(1, NAMES.length)}, ${draw(1, DAYS)}, ${draw(1, 9)})`)
  const filled = [`INSERT INTO product VALUES ${products.join(', ')}`, `INSERT INTO sale VALUES ${sales.join(', ')}`]
  return { db_id, statements: [...SCHEMA, ...filled] }
}

const SOLD = 'sold AS (SELECT product_id, SUM(amount) AS pieces FROM sale GROUP BY product_id)'

/** Question and query; by level of so many table expressions. */
const DRAFTS: Record<Level, readonly ((draw: Draw) => [question: string, steps: string[]])[]> = {
  1: [
    (draw) => {
      const [kind, price] = [KINDS[draw(0, 2)], draw(5, 30)]
      return [
        `How many products of the kind ${kind} cost more than ${price}?`,
        [`WITH picked AS (SELECT id FROM product WHERE kind = '${kind}' AND price > ${price})`, 'SELECT COUNT(*) FROM picked'],
      ]
    },
    (draw) => {
      const day = draw(1, DAYS)
      return [
        `How many pieces were sold on day ${day}?`,
        [`WITH that_day AS (SELECT amount FROM sale WHERE day = ${day})`, 'SELECT COALESCE(SUM(amount), 0) FROM that_day'],
      ]
    },
  ],
  2: [
    (draw) => {
      const most = draw(10, 30)
      return [
        `Name the products of which more than ${most} pieces were sold.`,
        [
          `WITH ${SOLD},`,
          `many AS (SELECT product_id FROM sold WHERE pieces > ${most})`,
          'SELECT name FROM product JOIN many ON product_id = id',
        ],
      ]
    },
    (draw) => {
      const price = draw(5, 30)
      return [
        `For each kind, how many pieces of products that cost at most ${price} were sold? Leave out kinds without any.`,
        [
          `WITH cheap AS (SELECT id, kind FROM product WHERE price <= ${price}),`,
          'pieces AS (SELECT kind, amount FROM sale JOIN cheap ON cheap.id = product_id)',
          'SELECT kind, SUM(amount) FROM pieces GROUP BY kind',
        ],
      ]
    },
  ],
  3: [
    () => [
      'For each kind, name the products that brought in the most money (price times pieces sold).',
      [
        `WITH ${SOLD},`,
        'money AS (SELECT name, kind, price * pieces AS income FROM sold JOIN product ON id = product_id),',
        'best AS (SELECT kind, MAX(income) AS most FROM money GROUP BY kind)',
        'SELECT money.kind, name FROM money JOIN best ON best.kind = money.kind AND income = most',
      ],
    ],
    (draw) => {
      const day = draw(2, DAYS - 2)
      return [
        `Name the products of which more pieces were sold after day ${day} than up to and including it.`,
        [
          `WITH early AS (SELECT product_id, SUM(amount) AS pieces FROM sale WHERE day <= ${day} GROUP BY product_id),`,
          `late AS (SELECT product_id, SUM(amount) AS pieces FROM sale WHERE day > ${day} GROUP BY product_id),`,
          'more AS (SELECT late.product_id FROM late LEFT JOIN early ON early.product_id = late.product_id WHERE late.pieces > COALESCE(early.pieces, 0))',
          'SELECT name FROM product JOIN more ON product_id = id',
        ],
      ]
    },
  ],
}

/** Problem number `index` of a seed. */
export function sqlProblem(seed: string | number, index: number, levels: readonly Level[] = [1, 2, 3]): SqlProblem {
  const id = `sql/${seed}/${index}`
  const draw = drawFrom(id)
  const level = levels[draw(0, levels.length - 1)] as Level
  const drafts = DRAFTS[level]
  const [question, steps] = (drafts[draw(0, drafts.length - 1)] as (typeof drafts)[number])(draw)
  const shown = `${SCHEMA.map((statement) => `${statement};`).join('\n')}\n\n${question}\nAnswer with one SQLite query.`
  return { id, db_id: `shop_${seed}_${index % SQL_DATABASES}`, level, question: shown, answer: steps.join('\n') }
}
