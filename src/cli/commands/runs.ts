/** `lethe runs`: the runs that are kept, what one holds, how two differ, and removal. */
import type { Difference, RunCard } from "../../run/runs.ts";
import { acts, declare } from "../command.ts";
import { bytes, duration, plural, table } from "../format.ts";

/** Characters of an id that a listing shows. */
const SHORT = 12;
const secondsOf = ({ timings }: RunCard): number => (timings?.seconds ?? []).reduce((a, b) => a + b, 0);
const inModel = ({ record }: RunCard): string => oneLine(record.spec["method"] ?? record.spec["suite"] ?? record.spec["attack"] ?? "");
const oneLine = (value: unknown): string => {
  const name = typeof value === "object" && value !== null && "name" in value ? value.name : value;
  const text = typeof name === "string" ? name : (JSON.stringify(name) ?? "");
  if (/^[0-9a-f]{64}$/.test(text)) return text.slice(0, SHORT);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
};

const list = acts(
  declare("list", "Lists the runs that are kept, the newest first.", "", [
    ["lethe runs list", "id, step, status, time and size of each"],
    ["lethe runs list --runs study/runs", "in another folder"],
  ]),
  async ({ terminal, ctx }) => {
    const { listRuns } = await import("../../run/runs.ts");
    const runs = listRuns(ctx.runs);
    if (terminal.json)
      return terminal.object("runs", {
        folder: ctx.runs,
        runs: runs.map(({ record: { result: _, ...record }, ...rest }) => ({ ...rest, record })),
      });
    if (runs.length === 0) return terminal.line(`${ctx.runs} holds no runs.`);
    const rows = runs.map((card) => [
      card.id.slice(0, SHORT),
      card.record.step,
      inModel(card),
      card.record.status,
      duration(1000 * secondsOf(card)),
      bytes(card.bytes),
      card.timings?.ended ?? "",
    ]);
    terminal.line(table([["ID", "STEP", "", "STATUS", "TIME", "SIZE", "ENDED"], ...rows], [4, 5]));
  },
);

const show = acts(
  declare("show <RUN>", "Shows a run: its spec, status, files and timings.", "RUN is the beginning of an id.", [
    ["lethe runs show 3f9e4ec7", "one run"],
    ["lethe runs show 3f9e4ec7 --json", "with its whole result"],
  ]),
  async ({ terminal, ctx }, _, beginning) => {
    const { findRun } = await import("../../run/runs.ts");
    const card = findRun(ctx.runs, beginning!);
    if (terminal.json) return terminal.object("run", card);
    const { id, step, status, code, spec, outputs, error } = card.record;
    terminal.line(`${step} ${id}: ${status}`);
    if (error) terminal.line(`  ${error.message}`);
    terminal.line(`  folder  ${card.path}`);
    terminal.line(`  code    ${code.slice(0, SHORT)}`);
    if (card.timings) terminal.line(`  time    ${duration(1000 * secondsOf(card))} in ${plural(card.timings.seconds.length, "attempt")}`);
    if (card.chosen) terminal.line(`  auto    ${card.chosen.why}`);
    terminal.line("\nSpec:");
    for (const [key, value] of Object.entries(spec)) terminal.line(`  ${key}: ${oneLine(value)}`);
    terminal.line("\nFiles:");
    for (const [name, sum] of Object.entries(outputs)) terminal.line(`  ${sum.slice(0, SHORT)}  ${name}`);
  },
);

const diff = acts(
  declare("diff <A> <B>", "Shows where two runs differ: spec, code, files and results.", "A and B are beginnings of ids.", [
    ["lethe runs diff 3f9e4ec7 91ab", "a line for each difference"],
  ]),
  async ({ terminal, ctx }, _, a, b) => {
    const { diffRuns, findRun } = await import("../../run/runs.ts");
    const found: Difference[] = diffRuns(findRun(ctx.runs, a!), findRun(ctx.runs, b!));
    if (terminal.json) return terminal.object("runs-diff", { differences: found });
    if (found.length === 0) return terminal.line("They are equal.");
    terminal.line(table([["", "A", "B"], ...found.map(({ at, a: mine, b: other }) => [at, oneLine(mine), oneLine(other)])]));
  },
);

const rm = acts(
  declare("rm <RUN...>", "Removes runs; files that were put elsewhere with -o stay.", "RUN is the beginning of an id.", [
    ["lethe runs rm 3f9e4ec7", "one run"],
  ]),
  async ({ terminal, ctx }, _, ...beginnings) => {
    const { findRun, removeRuns } = await import("../../run/runs.ts");
    const named = new Map(beginnings.map((beginning) => findRun(ctx.runs, beginning)).map((card) => [card.id, card]));
    const cards = [...named.values()];
    removeRuns(cards);
    if (terminal.json) return terminal.object("runs-rm", { removed: cards.map(({ id }) => id) });
    terminal.line(`${plural(cards.length, "run")} removed, ${bytes(cards.reduce((sum, card) => sum + card.bytes, 0))}.`);
  },
);

const schema = acts(
  declare("schema <STEP>", "Prints the JSON Schema of a step's spec.", "STEP is finetune, forget, eval, attack, trace, stats or export.", [
    ["lethe runs schema forget > forget.schema.json", "for an editor that checks specs while you write"],
  ]),
  async ({ terminal }, _, name) => {
    const [{ stepOf }, { jsonSchemaOf }] = await Promise.all([import("../../run/run.ts"), import("../../run/spec.ts")]);
    terminal.line(JSON.stringify(jsonSchemaOf(name!, stepOf(name!).fields), null, 2));
  },
);

export const runs = declare(
  "runs",
  "Lists, shows, compares and removes runs.",
  "A run is one execution of a step, such as forget or eval. Each run has its own folder. Its name is a hash of everything that decides the result.",
  [
    ["lethe runs list", "what was done"],
    ["lethe runs show 3f9e4ec7", "one run"],
    ["lethe runs diff 3f9e4ec7 91ab", "how two differ"],
    ["lethe runs rm 3f9e4ec7", "free its space"],
  ],
);
for (const command of [list, show, diff, rm, schema]) runs.addCommand(command);
