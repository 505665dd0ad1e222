/** Contrast of text by WCAG 2.2 (relative luminance, contrast ratio; 1.4.3 asks for 4.5 : 1). */

type Color = readonly [red: number, green: number, blue: number]

const contrastMin = 4.5

/** From 1 (alike) to 21 (black on white). */
export function contrastRatio(one: Color, other: Color): number {
  const luminance = (color: Color) => {
    const [red = 0, green = 0, blue = 0] = color.map((value) => {
      const share = value / 255
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4
    })
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
  }
  const [a, b] = [luminance(one), luminance(other)]
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)
}

/** An expression for a page: its visible texts below the least contrast, each with its ratio. */
export const lowContrast = `(() => {
  const contrastRatio = ${contrastRatio.toString()}
  const colorOf = (text) => (/^rgba?\\(([^)]+)\\)/.exec(text)?.[1] ?? '0,0,0,0').split(/[ ,/]+/).map(Number)
  const groundOf = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const color = colorOf(getComputedStyle(each).backgroundColor)
      if (color.length === 3 || color[3] === 1) return color.slice(0, 3)
    }
    return [255, 255, 255]
  }
  const found = []
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement
    const text = texts.currentNode.textContent.trim()
    if (text === '' || !element.checkVisibility() || element.closest('script, style')) continue
    const style = getComputedStyle(element)
    const ratio = contrastRatio(colorOf(element.closest('svg') ? style.fill : style.color).slice(0, 3), groundOf(element))
    if (ratio < ${contrastMin}) found.push(text.slice(0, 40) + ': ' + ratio.toFixed(2))
  }
  return found
})()`
