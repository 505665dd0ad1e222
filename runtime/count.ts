/** Whether it is a whole number from 0 on that is exact: how many, a length, an offset. */
export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0
}
