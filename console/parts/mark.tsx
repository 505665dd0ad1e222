/** The sign of Penstock: a pipe. */
export function Mark() {
  return (
    <svg viewBox="0 0 24 24" width="26" height="26" aria-hidden="true">
      <rect width="24" height="24" rx="6" fill="var(--accent)" />
      <path
        d="M6 5v5a4 4 0 0 0 4 4h4a4 4 0 0 1 4 4v1"
        fill="none"
        stroke="var(--onaccent)"
        stroke-width="3"
        stroke-linecap="round"
      />
    </svg>
  )
}
