/** Finished runs of the same steps that do not count here, because they were made with another number of threads. */
import { type Board, isTodo } from "./board.ts";

/** Finished runs of a board's open steps with another number of threads. */
export interface Elsewhere {
  readonly threads: number;
  /** Steps that are open here and finished there. */
  readonly steps: number;
}

/** Numbers of threads that are tried. */
const MOST = 64;
/** Steps that are tried for each number; the others are looked at where one of these is found. */
const TRIED = 8;

/**
 * What is finished with other numbers of threads. It looks only where a step without needs is still open: where the right number was given,
 * such steps are the first that finish.
 */
export async function elsewhere(board: Board): Promise<Elsewhere[]> {
  const { units, addresses, ctx } = board;
  const open = new Set(units.filter(({ key }) => isTodo(board.of(key))));
  const first = [...open].filter(({ needs }) => needs.length === 0).slice(0, TRIED);
  const found: Elsewhere[] = [];
  for (let threads = 1; threads <= MOST && first.length > 0 && board.hasRuns; threads++) {
    if (threads === ctx.threads) continue;
    const others = addresses.under(threads);
    const isThere = async (unit: (typeof units)[number]): Promise<boolean> => {
      const address = await others.of(unit);
      return address !== undefined && open.has(unit) && board.hasRunAt(address);
    };
    let isAny = false;
    for (const unit of first) isAny ||= await isThere(unit);
    if (!isAny) continue;
    let steps = 0;
    for (const unit of units) if (await isThere(unit)) steps++; // in the order of the units, so that the needs of a step have addresses
    found.push({ threads, steps });
  }
  return found;
}
