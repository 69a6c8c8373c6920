/** Types of stale.mjs. */
export function isStale(): boolean;
