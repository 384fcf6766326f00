/**
 * An attack is a test whose result is a sentence: `scripts/attacked.mjs` runs all of them and makes a page of what they
 * print.
 */
import { test } from 'uvu'

/** Registers an attack. `run` throws where the product did not stand it, and resolves to what came of it. */
export function attack(attackedWith: string, run: () => Promise<string>): void {
  test(attackedWith, async () => {
    const result = await run()
    console.log(`attacked ${JSON.stringify({ attackedWith, result })}`)
  })
}

/** `3 refused, 2 answered`, for what was counted. */
export function tally(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .map(([what, n]) => `${n} ${what}`)
    .join(', ')
}
