/** Lines on a grid of 24, as wide as the text beside them. */
const paths = {
  first: 'M12 3v3m0 12v3M3 12h3m12 0h3M5.6 5.6l2.2 2.2m8.4 8.4 2.2 2.2m0-12.8-2.2 2.2m-8.4 8.4-2.2 2.2',
  live: 'M3 12h4l3-8 4 16 3-8h4',
  delivery: 'M4 5v5a4 4 0 0 0 4 4h8a4 4 0 0 1 4 4v1M4 5h5m11 14h-5',
  fleet: 'M4 5h7v6H4zM13 5h7v6h-7zM4 13h7v6H4zM13 13h7v6h-7z',
  sql: 'M5 6c0-1.7 3.1-3 7-3s7 1.3 7 3-3.1 3-7 3-7-1.3-7-3zm0 0v12c0 1.7 3.1 3 7 3s7-1.3 7-3V6M5 12c0 1.7 3.1 3 7 3s7-1.3 7-3',
  models: 'M4 5h16M4 12h16M4 19h16M9 5v14M15 5v14',
  routes: 'M6 4v10a4 4 0 0 0 4 4h10m0 0-3-3m3 3-3 3M6 8a4 4 0 0 0 4-4h10m0 0-3-3',
  load: 'M4 19a9 9 0 1 1 16 0M12 14l4-5',
  settings: 'M4 7h10m4 0h2M4 17h2m4 0h10M14 4v6M8 14v6',
  audit: 'M8 4h8v3H8zM6 5H5v16h14V5h-1M9 12h6M9 16h6',
  api: 'M8 6 3 12l5 6M16 6l5 6-5 6M13.5 4l-3 16',
  copy: 'M9 9h11v11H9zM5 15H4V4h11v1',
  check: 'm5 12 5 5L20 7',
  warning: 'M12 4 2.5 20h19zM12 10v4m0 3v.1',
  info: 'M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zm0 8v5m0-8.2v.1',
  plus: 'M12 5v14M5 12h14',
  reload: 'M20 11a8 8 0 1 0-2.3 6.3M20 4v7h-7',
  pause: 'M9 5v14M15 5v14',
  play: 'M7 5v14l12-7z',
  down: 'M12 4v11m0 0 5-5m-5 5-5-5M5 20h14',
  leave: 'M14 4h5v16h-5M10 8l-4 4 4 4m-4-4h10',
  search: 'M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14zm5 12 4 4',
  next: 'm9 5 7 7-7 7',
} as const

export type IconName = keyof typeof paths

export function Icon({ name }: { readonly name: IconName }) {
  return (
    <svg
      viewBox="0 0 24 24"
      width="16"
      height="16"
      fill="none"
      stroke="currentColor"
      stroke-width="1.8"
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
    >
      <path d={paths[name]} />
    </svg>
  )
}
