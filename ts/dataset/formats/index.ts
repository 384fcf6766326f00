/** Export formats: each is one file with a `row` per sample; this list names them. */
import { invalidArgument } from '../../contracts/errors.ts'
import { suggest } from '../../contracts/suggest.ts'
import { groupRow } from './groups.ts'
import { jsonlWriter } from './jsonl.ts'
import { mmPrmRow } from './mm-prm.ts'
import { msSwiftRow } from './ms-swift.ts'
import { parquetWriter } from './parquet.ts'
import { stepsRow } from './steps.ts'
import { transitionRows } from './transitions.ts'
import { trlRow } from './trl.ts'
import type { OpenWriter } from './writer.ts'

const FORMATS: Record<string, OpenWriter> = {
  steps: jsonlWriter(stepsRow),
  'mm-prm': jsonlWriter(mmPrmRow),
  trl: jsonlWriter(trlRow),
  'ms-swift': jsonlWriter(msSwiftRow),
  parquet: parquetWriter,
  groups: jsonlWriter(groupRow),
  transitions: (base) => jsonlWriter(transitionRows())(base),
}

export const FORMAT_NAMES = Object.keys(FORMATS)

export function findFormat(name: string): OpenWriter {
  const format = Object.hasOwn(FORMATS, name) ? FORMATS[name] : undefined
  if (!format) throw invalidArgument(`no format "${name}"${suggest(name, FORMAT_NAMES)}`)
  return format
}
