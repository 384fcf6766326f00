/** Problems of a database: for a worker with the bytes of their pictures, for a reader as they were submitted. */
import type { Problem } from '../../contracts/problem.ts'
import type { Row } from '../driver.ts'
import { checkImage, toProblem } from '../rows.ts'
import type { Sql } from './connection.ts'

async function bytesOf(sql: Sql, hash: Row[string]): Promise<Uint8Array> {
  const [row] = await sql.query('SELECT bytes FROM mm_prm.images WHERE hash = $1', [hash])
  return checkImage(hash, row?.['bytes'] as Uint8Array | undefined)
}

function plain(row: Row): Row {
  const { question, answer, meta } = JSON.parse(String(row['problem'])) as Problem
  return {
    id: row['id'] as string,
    question,
    answer,
    meta: meta ? JSON.stringify(meta) : null,
    image_path: row['image_path'] ?? null,
  }
}

/** @param forWork with the picture itself, wherever its file may be */
export async function readProblem(sql: Sql, row: Row, forWork: boolean): Promise<Problem> {
  const { image_hash: given, bytes_hash: stored } = row
  const hash = given ?? (forWork ? stored : null)
  if (hash === null || hash === undefined) return toProblem(plain(row), undefined)
  const bytes = await bytesOf(sql, hash)
  return given === null
    ? { ...toProblem({ ...plain(row), image_path: null }, undefined), image: bytes }
    : toProblem(plain(row), bytes)
}
