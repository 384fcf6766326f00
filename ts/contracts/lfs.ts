/** Git LFS: where a file was not fetched, a few lines of text stand in its place. */
const POINTER = /^version https:\/\/git-lfs\.github\.com\/spec\/v\d+\n(?:[a-z0-9.-]+ .*\n)*?size (\d+)\n/
/** No pointer is longer. */
export const POINTER_BYTES = 1024

/** What to say of a file that begins like this: undefined where it is no pointer. */
export function lfsPointer(start: Uint8Array): string | undefined {
  const text = Buffer.from(start.subarray(0, POINTER_BYTES)).toString('latin1').replaceAll('\r\n', '\n')
  const size = POINTER.exec(text)?.[1]
  return size && `is a Git LFS pointer: the file itself (${size} bytes) was not fetched; "git lfs pull" fetches it`
}
