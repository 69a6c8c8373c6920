/** `lethe forget`: finds an edit after which a model says something else. */
import type { Context } from "../../base/context.ts";
import { someOf } from "../../base/fail.ts";
import type { Plan } from "../../run/plan.ts";
import type { Chosen } from "../../run/record.ts";
import { AUTO, forgetSpec } from "../../run/specs/forget.ts";
import type { Forgotten } from "../../run/steps/forget.ts";
import { EXIT } from "../exit.ts";
import { acts, declare, later, MODEL, valuesOf } from "../command.ts";
import { bytes, duration, plural, table } from "../format.ts";
import { nameOnCommandLine, specFrom, withFields } from "../step-command.ts";
import type { Terminal } from "../terminal.ts";

interface Flags {
  readonly output?: string;
  readonly plan?: boolean;
  readonly force?: boolean;
}

/** Answers shown one by one at most. */
const SHOWN = 8;

const command = withFields(
  declare(
    "forget <MODEL>",
    forgetSpec.doc,
    `${MODEL} Lethe never changes the model's files. A request is --prompt with --subject, or a line of --data. If the command is stopped, run it again: it continues where it stopped.`,
    [
      [
        'lethe forget ./model --prompt "What is the capital of Australia?" --subject Australia -o edits/e1',
        "one fact; the new answer is a refusal",
      ],
      ['lethe forget ./model --prompt "Who wrote Hamlet?" --subject Hamlet --say "I do not know." -o edits/e2', "with your own answer"],
      [
        "lethe forget ./model --data requests.jsonl --plan",
        "time, memory and size for each method, measured with short trials; nothing is saved",
      ],
      [
        "lethe forget ./model --data requests.jsonl --method auto --want weights,rephrases -o edits/e6",
        "the method that was measured to do this best; with --plan, all candidates and why",
      ],
      ["lethe forget ./model --data requests.jsonl --target dummy --edit edits/e1 -o edits/e3", "many facts, after another edit"],
      [
        "lethe forget ./model --data requests.jsonl --target self-improved --merge 4 -o edits/e5",
        "refusals that the model writes itself, one per four questions",
      ],
      ["lethe forget ./model --data zsre:zsre_eval.json -o edits/e4", "the requests of a published dataset"],
    ],
  ),
  forgetSpec,
)
  .option("--force", "overwrite the output; run even if the estimate says that memory is too small")
  .option("--plan", "show time, memory and size of every method, or of --method; save nothing")
  .option("-o, --output <file>", "the file for the edit");

export const forget = later(
  acts<Flags>(command, async ({ terminal, ctx }, { output, plan: isPlan, force = false, ...flags }, model) => {
    const began = ctx.now();
    const spec = specFrom(forgetSpec, flags, model);
    if (isPlan) {
      const { plan } = await import("../../run/plan.ts");
      const found = await plan(spec, ctx, { force });
      return terminal.json ? terminal.object("plan", found) : showPlan(terminal, found);
    }
    const [{ run }, { fail }] = await Promise.all([import("../../run/run.ts"), import("../../base/fail.ts")]);
    const out = output ?? fail("forget", "no -o, --output", "the file for the edit", "Give -o FILE, or --plan to see what it will cost.");
    const { record, chosen } = await run<Forgotten>(spec, ctx, { out, force, nameOf: nameOnCommandLine(forgetSpec) });
    if (terminal.json) terminal.object("forget", { path: out, ...record.result, ...(chosen && { chosen }) });
    else show(terminal, out, record.result, chosen);
    terminal.detail(`${duration(ctx.now() - began)} in all`);
    return unproven(ctx, record.result);
  }),
  async (ctx, words) => {
    const { catalog } = await import("../../run/catalog.ts");
    const { methods, targets, sets } = catalog(ctx);
    const mark = (isDefault: boolean): string => (isDefault ? " (default)" : "");
    // the settings of one method: of the one that is named, or of the default
    const [named] = valuesOf("--method", words);
    const { name, params, compat, sets: repositories } = methods.find((m) => m.name === named) ?? methods.find((m) => m.isDefault)!;
    const settings = [
      ...params.map((p) => [`  --set ${p.name}=${p.default === "by model" ? "…" : p.default}`, p.doc]),
      ...Object.entries(compat).map(([quirk, what]) => [`  --compat ${quirk}`, what]),
      ...Object.entries(repositories).map(([repository, quirks]) => [`  --compat ${repository}`, quirks.join(", ")]),
    ];
    return [
      `Methods:\n${methods.map((m) => `  ${m.name}${mark(m.isDefault)}: ${m.doc}`).join("\n")}\n  ${AUTO}: chooses one of them by what was measured (docs/methods/choosing.md)`,
      `Settings of ${name} (--method NAME --help for another's):\n${table(settings)}`,
      `Targets:\n${targets.map((t) => `  ${t.name}${mark(t.isDefault)}: ${t.doc}`).join("\n")}`,
      `Datasets (--data SET:FILE):\n${sets.map((s) => `  ${s.name}: ${s.doc}`).join("\n")}`,
    ].join("\n\n");
  },
);

function show(terminal: Terminal, path: string, { bytes: size, edits, shown }: Forgotten, chosen: Chosen | undefined): void {
  if (chosen) terminal.line(`${AUTO} chose ${chosen.why}`);
  terminal.line(`${path}: ${plural(edits.length, "edit")} by ${[...new Set(edits.map((e) => e.method))].join(", ")}, ${bytes(size)}`);
  for (const { prompt, before, after, isGiven, target } of shown.slice(0, SHOWN)) {
    terminal.line(`\n  ${terminal.paint("bold", prompt, terminal.out)}`);
    terminal.line(`    before  ${oneLine(before)}`);
    terminal.line(`    after   ${oneLine(after)}`);
    if (target !== null && after !== null && !isGiven)
      terminal.line(`    target  ${terminal.paint("yellow", `${oneLine(target)}  (not what it says)`, terminal.out)}`);
  }
  const asked = shown.filter((s) => s.after !== null);
  if (asked.length > 1)
    terminal.line(`\n${asked.filter((s) => s.isGiven).length} of ${asked.length} are answered with the target, word for word.`);
}

/** Names the questions that are not answered with their targets. The exit code is then that of work that did not succeed. */
function unproven(ctx: Context, { proof }: Forgotten): number {
  const { asked, unsaid } = proof ?? { asked: 0, unsaid: [] };
  if (unsaid.length === 0) return 0;
  ctx.log({
    kind: "warning",
    who: "forget",
    text: `the model does not say the target, word for word, to ${unsaid.length} of ${plural(asked, "question")}: ${someOf(unsaid, LISTED)}. Try another --method or target; --prove none accepts the edit as it is.`,
  });
  return EXIT.execution;
}

/** Ids that a message names at most. */
const LISTED = 10;

const oneLine = (text: string | null): string => (text === null ? "(could not be asked)" : text.replaceAll(/\s*\n\s*/g, " "));

/** The methods that could be chosen, each with what was measured of it and why it was not taken. */
function showChosen(terminal: Terminal, { want, requests, why, candidates }: Chosen): void {
  const share = (value: number | null | undefined): string => (typeof value === "number" ? `${(100 * value).toFixed(1)} %` : "-");
  const rows = candidates.map(({ method, mode, row, score, state, why: reason }) => [
    method,
    mode ?? "-",
    row === null ? "-" : `${row.requests}`,
    share(row?.gone),
    share(row?.rephrased),
    share(row?.others),
    typeof row?.seconds === "number" ? row.seconds.toFixed(1) : "-",
    score === null ? "-" : String(score),
    state === "chosen" || state === "fits" ? state : reason,
  ]);
  terminal.line(`${AUTO} for ${plural(requests, "request")}${want.length > 0 ? `, wanted: ${want.join(", ")}` : ""}\n`);
  terminal.line(
    table([["METHOD", "MODE", "MEASURED WITH", "GONE", "REPHRASED", "OTHERS", "S A REQUEST", "SCORE", ""], ...rows], [2, 3, 4, 5, 6, 7]),
  );
  terminal.line(`\n${why}\n`);
}

function showPlan(terminal: Terminal, { requests, tried, available, methods, unable, chosen }: Plan): void {
  if (chosen) showChosen(terminal, chosen);
  const time = (seconds: number): string => duration(1000 * seconds);
  const rows = methods.map((m) => [
    m.method,
    time(m.seconds),
    m.evaluations === null ? "" : `${m.evaluations} x ${m.evaluation < 1 ? `${Math.round(1000 * m.evaluation)} ms` : time(m.evaluation)}`,
    m.statistics === null ? "none" : m.statistics.isKept ? "kept" : time(m.statistics.seconds),
    bytes(m.bytes),
    bytes(m.memory.total),
  ]);
  terminal.line(table([["METHOD", "AT MOST", "SEARCH", "STATISTICS FIRST", "EDIT", "MEMORY"], ...rows], [1, 2, 3, 4, 5]));
  terminal.line(`\n${bytes(available.bytes)} of memory are left by ${available.limit}.`);
  for (const { method, why } of unable) terminal.line(`${method} cannot: ${why}`);
  terminal.note(
    `timed now with a short search for ${plural(Math.min(tried, requests), "request")} of ${requests}, stand-ins for the statistics; a search ends earlier where its target is likely. Statistics are made once for a model.`,
  );
}
