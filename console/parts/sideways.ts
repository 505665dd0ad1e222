/** Scrolls a line that may be longer than its place, and nothing else, until what is chosen in it stands in the middle. */
export function bringToMiddle(line: HTMLElement | null, chosen: string): void {
  const element = line?.querySelector(chosen)
  if (!line || !element) return
  const [place, box] = [line.getBoundingClientRect(), element.getBoundingClientRect()]
  line.scrollLeft += box.left + box.width / 2 - (place.left + place.width / 2)
}
