/** Drives one native generation: reads its tokens as they come, and stops samples whose text has ended. */
import type { Finish } from './completion.ts'
import type { NativeGenerateJob } from './native.ts'
import { type StopRules, StopText } from './stop-text.ts'
import type { Tokenizer } from './tokenizer/index.ts'

/** What is new of one sample. */
export interface StreamEvent {
  sample: number
  text: string
  tokens: number[]
  done: boolean
  /** Why it ended, when done. */
  finish?: Finish
}

const FINISH: readonly (Finish | undefined)[] = [undefined, 'stop', 'length']

interface Reader {
  text: StopText
  done: boolean
}

/** One event per sample that moved; `firstSample` is what sample 0 is called. */
export async function* readStream(
  job: NativeGenerateJob,
  tokenizer: Tokenizer,
  rules: StopRules,
  firstSample: number,
): AsyncGenerator<StreamEvent> {
  const readers = new Map<number, Reader>()
  for (let triples = await job.next(); triples.length > 0; triples = await job.next()) {
    const events = new Map<number, StreamEvent>()
    for (let i = 0; i < triples.length; i += 3) {
      const [index, token, code] = triples.subarray(i, i + 3) as unknown as [number, number, number]
      const reader = readers.get(index) ?? { text: new StopText(tokenizer, rules), done: false }
      readers.set(index, reader)
      if (reader.done) continue // written before the engine learned that the sample has stopped
      const event = events.get(index) ?? { sample: firstSample + index, text: '', tokens: [], done: false }
      events.set(index, event)
      advance(reader, event, token, FINISH[code])
      if (reader.text.stopped) job.stopSample(index)
    }
    yield* events.values()
  }
}

function advance(reader: Reader, event: StreamEvent, token: number, finish: Finish | undefined): void {
  event.tokens.push(token)
  if (finish !== 'stop') event.text += reader.text.push(token)
  const ended = reader.text.stopped ?? finish
  if (!ended) return
  event.text += reader.text.finish()
  event.finish = reader.text.stopped ?? ended
  event.done = reader.done = true
}
