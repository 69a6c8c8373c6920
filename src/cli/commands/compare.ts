/** `lethe compare`: what differs between two runs beyond chance, and which answers flipped. */
import { Option } from "commander";
import type { CompareRecord } from "../../run/record.ts";
import { acts, declare, number } from "../command.ts";
import { plural, table } from "../format.ts";
import type { Terminal } from "../terminal.ts";

interface Flags {
  readonly suite?: string;
  readonly flips: number;
}

export const comparison = acts<Flags>(
  declare(
    "compare <A> <B>",
    "Compares two evaluations of the same questions.",
    "A and B are logs, or folders of lethe eval. Differences use the rows that both have. Intervals are by paired bootstrap, and p-values are corrected by Holm for the number of comparisons. A flip is an answer that is right (ROUGE-L recall of at least one half) on one side only. Flips are shown with their surprise: the bits by which the first run's own probability of the answer spoke against the outcome.",
    [
      ["lethe compare before.json after.json", "what an edit changed"],
      ["lethe compare runs/near/base runs/near --json", "the model before and after, as JSON, with every flip"],
    ],
  )
    .option("--suite <name>", "a suite other than that of A: a name, or FILE.json")
    .addOption(new Option("--flips <n>", "the most flips to show").default(10).argParser(number({ min: 0, whole: true }))),
  async ({ terminal, ctx }, { suite, flips }, a, b) => {
    const [{ compareLogs }, { compareRows }] = await Promise.all([import("../../run/eval.ts"), import("../../report/eval.ts")]);
    const record = compareLogs(a!, b!, suite, ctx);
    if (terminal.json) return terminal.object("compare", record);
    const { a: one, b: other, common } = record;
    terminal.line(`A and B compared by the suite ${record.suite}, on ${plural(common, "row")} in common`);
    terminal.line(`A: ${one.path}, ${plural(one.rows, "row")}`);
    terminal.line(`B: ${other.path}, ${plural(other.rows, "row")}\n`);
    terminal.line(table(compareRows(record), [1, 2, 3, 5, 6]));
    showFlips(terminal, record, flips);
  },
);

function showFlips(terminal: Terminal, { flips }: CompareRecord, most: number): void {
  const lost = flips.filter(({ kind }) => kind === "lost").length;
  terminal.line(`\n${plural(flips.length, "answer")} flipped: ${lost} lost, ${flips.length - lost} gained`);
  for (const { id, kind, surprise, question, answer, a, b } of flips.slice(0, most)) {
    terminal.line(`\n${terminal.paint("bold", id, terminal.out)}  ${kind}, ${surprise.toFixed(1)} bits  ${short(question)}`);
    for (const [name, text] of [
      ["gold", answer],
      ["A", a],
      ["B", b],
    ] as const)
      terminal.line(`  ${name.padEnd(4)}  ${short(text) || "(nothing)"}`);
  }
  if (flips.length > most) terminal.line(`\n… and ${flips.length - most} more (--flips, --json)`);
}

/** Longest text of a line. */
const WIDTH = 110;
function short(text: string): string {
  const line = text.replaceAll(/\s+/g, " ").trim();
  return line.length > WIDTH ? `${line.slice(0, WIDTH - 1)}…` : line;
}
