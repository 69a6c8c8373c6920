/** What may be concluded: each observation of a paper, with the verdict that the orders of all grids give it under each protocol. */
import type { GridRecord, TableRecord, Verdict, VerdictWord } from "../run/grid/record.ts";
import { madeWith, verdictText } from "./notes.ts";

type Protocol = Verdict["protocol"];

/** An order, with the table that shows it. */
interface Shown {
  readonly grid: string;
  readonly table: TableRecord;
  readonly order: Verdict;
}

/** An observation under one protocol. */
interface Ruling {
  readonly protocol: Protocol;
  readonly verdict: VerdictWord;
  readonly shown: readonly Shown[];
}

/** An observation of a paper, and what our runs say of it. */
export interface Conclusion {
  readonly name: string;
  readonly says: string;
  readonly rulings: readonly Ruling[];
}

export const CONCLUSIONS = "What may be concluded";
const PROTOCOLS: readonly Protocol[] = ["corrected", "published"];

/** A conclusion for each observation that the grids name, in the order of their file. */
export function conclusionsOf(records: readonly GridRecord[]): Conclusion[] {
  const says = Object.assign({}, ...records.map(({ observations }) => observations)) as GridRecord["observations"];
  const all = records.flatMap(({ name: grid, tables }) =>
    tables.flatMap((table) => table.verdicts.map((order): Shown => ({ grid, table, order }))),
  );
  return Object.entries(says).map(([name, sentence]) => {
    const own = all.filter(({ order }) => order.shows === name);
    const rulings = PROTOCOLS.map((protocol): Ruling => {
      const shown = own.filter(({ order }) => order.protocol === protocol);
      return { protocol, verdict: ruled(shown), shown };
    });
    return { name, says: sentence, rulings };
  });
}

/** Agreement if every order agrees; contradiction if one contradicts; otherwise nothing can be told. */
function ruled(shown: readonly Shown[]): VerdictWord {
  const has = (word: VerdictWord): boolean => shown.some(({ order: { verdict } }) => verdict === word);
  if (has("contradiction")) return "contradiction";
  return has("agreement") && !has("cannot tell") ? "agreement" : "cannot tell";
}

/** "Under the corrected protocol: contradiction (of 4 orders 2 agree, 1 contradicts, 1 cannot be told)." */
export function rulingText({ protocol, verdict, shown }: Ruling): string {
  const count = (word: VerdictWord): number => shown.filter(({ order }) => order.verdict === word).length;
  const counts = [
    [count("agreement"), "agree", "agrees"],
    [count("contradiction"), "contradict", "contradicts"],
    [count("cannot tell"), "cannot be told", "cannot be told"],
  ] as const;
  const told = counts.flatMap(([n, many, one]) => (n > 0 ? [`${n} ${n === 1 ? one : many}`] : [])).join(", ");
  const why = shown.length === 0 ? "no row shows it" : `of ${shown.length} order${shown.length === 1 ? "" : "s"} ${told}`;
  return `Under the ${protocol} protocol: ${verdict} (${why}).`;
}

/** An order with the place of its rows. */
export const shownText = ({ grid, table, order: { shows: _, ...order } }: Shown): string =>
  `${grid}, table ${table.name}: ${verdictText(table, order)}`;

/** How a verdict comes about. */
export const HOW_RULED =
  "An observation is made of orders of two rows each. It agrees if all of its orders agree, and contradicts if one of them contradicts. An order that the interval of our difference does not decide cannot be told.";

/** The conclusions in Markdown, without a heading; empty if no grid names an observation. */
export function conclusionsMarkdown(records: readonly GridRecord[]): string {
  const all = conclusionsOf(records);
  if (all.length === 0) return "";
  const parts = all.map(({ name, says, rulings }) =>
    [
      `**${name}.** ${says}`,
      rulings.map((ruling) => [`- ${rulingText(ruling)}`, ...ruling.shown.map((shown) => `  - ${shownText(shown)}`)].join("\n")).join("\n"),
    ].join("\n\n"),
  );
  return [HOW_RULED, ...parts].join("\n\n");
}

/** The conclusions as a page has them: the models, the conclusions, and how much of the grids was run, and with what. */
export function conclusionsPage(records: readonly GridRecord[]): string {
  const done = records.map(({ name, steps }) => `- \`${name}\`: ${steps.finished} of ${steps.total} steps are done.`);
  const machines = new Map(records.flatMap((record) => record.machines).map((machine) => [JSON.stringify(machine), machine]));
  const code: Record<string, string[]> = {};
  for (const [step, ids] of records.flatMap((record) => Object.entries(record.code)))
    code[step] = [...new Set([...(code[step] ?? []), ...ids])].sort();
  return [
    `Models: ${[...new Set(records.flatMap(({ models }) => models))].join(", ")}.`,
    conclusionsMarkdown(records),
    done.join("\n"),
    madeWith({ machines: [...machines.values()], code, steps: { total: 0, finished: 0 } }).join("\n"),
  ]
    .filter(Boolean)
    .join("\n\n");
}
