/** Gives facts their values: the shift of their target, found once for many requests, or one of their own. */
import { answers, textOf } from "../../ask/ask.ts";
import type { TokenizedRequest } from "../../locate/tokenized-requests.ts";
import { withAdapter } from "../../model/model.ts";
import { type RowOptions, stopsOf } from "../../model/prompt.ts";
import type { Job } from "../method.ts";
import { adapterOf, type Book, type Fact, type Shift } from "./book.ts";
import { type Admitted, atOpenToken, type HushParams } from "./gate.ts";
import { findShift, type Found } from "./shift.ts";

export interface Taught {
  readonly book: Book;
  readonly report: Readonly<Record<string, unknown>>;
}

/**
 * The book with a value for each request's fact. A target that has a value keeps it; the shift of another target is found on at most `teach`
 * of its requests. Then every request is asked once. One that does not say its target gets a value of its own, in `polish` updates from the
 * shared one.
 */
export async function teach(
  job: Job<HushParams>,
  rows: readonly TokenizedRequest[],
  { book, places }: Admitted,
  ask: RowOptions,
): Promise<Taught> {
  const { model, params, running } = job;
  const { layer, steps, lr, enough, polish } = params;
  const [facts, values]: [Fact[], Shift[]] = [[...book.facts], [...book.values]];
  const search = { ...running, layer, lr, enough, ctx: job.ctx };
  const valueOf = (i: number, value: number): void => void (facts[places[i]!] = { ...facts[places[i]!]!, value });
  const searches: object[] = [];
  for (const own of byTarget(rows)) {
    const target = targetOf(rows[own[0]!]!);
    let value = values.findIndex((shift) => shift.target.join() === target.join());
    if (value < 0) {
      const taught = spread(own, params.teach).map((i) => rows[i]!);
      const found = await findShift(model, await atOpenToken(job, taught, facts), { ...search, steps });
      value = values.push({ shift: found.shift, target }) - 1;
      searches.push({ requests: taught.length, ...reportOf(found) });
    }
    for (const i of own) valueOf(i, value);
  }
  const isSaid = await saysTarget(job, rows, { facts, values }, ask);
  const polished: object[] = [];
  for (const [i, row] of rows.entries()) {
    if (isSaid[i] || polish === 0) continue;
    const start = values[facts[places[i]!]!.value]!.shift;
    const found = await findShift(model, await atOpenToken(job, [row], facts), { ...search, steps: polish, start });
    valueOf(i, values.push({ shift: found.shift, target: [] }) - 1);
    polished.push({ request: job.requests[i]!.id, ...reportOf(found) });
  }
  return { book: { facts, values }, report: { searches, said: isSaid, polished } };
}

const targetOf = ({ ids, first }: TokenizedRequest): readonly number[] => ids.slice(first);

/** The indices of rows, by target. */
function byTarget(rows: readonly TokenizedRequest[]): number[][] {
  const groups = new Map<string, number[]>();
  rows.forEach((row, i) => {
    const key = targetOf(row).join();
    groups.set(key, [...(groups.get(key) ?? []), i]);
  });
  return [...groups.values()];
}

/** At most `most` items, evenly spread over all. */
function spread<T>(items: readonly T[], most: number): T[] {
  const count = Math.min(most, items.length);
  return Array.from({ length: count }, (_, i) => items[Math.floor((i * items.length) / count)]!);
}

const reportOf = ({ updates, worst, shift, state }: Found) => ({
  updates,
  worst: Math.max(...worst),
  norm: Math.hypot(...shift),
  state,
});

/** Whether the model with a book answers each question with its target, token for token. */
async function saysTarget(job: Job<HushParams>, rows: readonly TokenizedRequest[], book: Book, ask: RowOptions): Promise<boolean[]> {
  const { model, requests, params, running, ctx } = job;
  const edited = withAdapter(model, adapterOf(model, book, params.layer, running.dtype));
  const stops = stopsOf(model, ask);
  const maxTokens = Math.max(...rows.map((row) => targetOf(row).length));
  const { end: _, ...as } = ask;
  const questions = requests.map(({ prompt }) => prompt);
  const said: number[][] = [];
  for await (const outcome of answers(edited, questions, { ...as, maxTokens, freeze: false, withoutPromptEdits: true }, ctx)) {
    textOf(outcome, requests[said.length]!.id); // refuses what could not be asked
    said.push("error" in outcome ? [] : outcome.tokens.map(({ id }) => id));
  }
  return said.map((all, i) => {
    const target = targetOf(rows[i]!);
    const ids = all.slice(0, target.length);
    return ids.every((id, j) => id === target[j]) && (ids.length === target.length || stops.has(ids.at(-1)!));
  });
}
