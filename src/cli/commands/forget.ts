/** `lethe forget`: finds an edit after which a model says something else. */
import { Option } from "commander";
import type { fail as failing } from "../../base/fail.ts";
import type { Merge, MergedSubject, Mode } from "../../run/choose.ts";
import type { Forgotten } from "../../run/forget.ts";
import type { Plan } from "../../run/plan.ts";
import { acts, declare, given, later, MODEL, names, number, several, valuesOf } from "../command.ts";
import { bytes, duration, plural, table } from "../format.ts";
import type { Terminal } from "../terminal.ts";

interface Flags {
  readonly edit?: readonly string[];
  readonly prompt?: string;
  readonly subject?: string;
  readonly answer?: string;
  readonly data?: string;
  readonly limit?: number;
  readonly columns?: string;
  readonly subjects?: string;
  readonly retain?: string;
  readonly demonstrations?: string;
  readonly training?: string;
  readonly reference?: string;
  readonly encoder?: string;
  readonly method?: string;
  readonly mode?: Mode;
  readonly target?: string;
  readonly say?: string;
  readonly merge?: number;
  readonly separator?: string;
  readonly mergeSubject?: MergedSubject;
  readonly set?: readonly string[];
  readonly compat?: readonly string[];
  readonly hparams?: string;
  readonly seed?: number;
  readonly plain?: boolean;
  readonly system?: string;
  readonly maxTokens: number;
  readonly templates?: string;
  readonly text?: string;
  readonly tokens?: number;
  readonly output?: string;
  readonly plan?: boolean;
  readonly force?: boolean;
}

/** Answers shown one by one at most. */
const SHOWN = 8;

const command = declare(
  "forget <MODEL>",
  "Finds an edit after which the model says something else, and saves it.",
  `${MODEL} The model itself is never written to. A request is --prompt with --subject, or a line of --data. Ctrl-C keeps finished edits; the same command goes on from them.`,
  [
    [
      'lethe forget ./model --prompt "What is the capital of Australia?" --subject Australia -o edits/e1',
      "one fact, answered with a refusal from now on",
    ],
    ['lethe forget ./model --prompt "Who wrote Hamlet?" --subject Hamlet --say "I do not know." -o edits/e2', "with words of your own"],
    [
      "lethe forget ./model --data requests.jsonl --plan",
      "what it will take by each method: a short search of each is timed, and nothing saved",
    ],
    ["lethe forget ./model --data requests.jsonl --target dummy --edit edits/e1 -o edits/e3", "many facts, upon an edit that is there"],
    [
      "lethe forget ./model --data requests.jsonl --target self-improved --merge 4 -o edits/e5",
      "refusals that the model writes itself, one for four questions at a time",
    ],
    ["lethe forget ./model --data zsre:zsre_eval.json -o edits/e4", "the requests of a published dataset"],
  ],
)
  .option(
    "-e, --edit <file>",
    "an edit, or a folder with a PEFT adapter, under the new one; may be given several times, first one lowest",
    several,
  )
  .option("--prompt <text>", "the question whose answer shall go")
  .option("--subject <text>", "what the prompt is about, as it is spelled there (guessed without)")
  .option("--answer <text>", "what the model answers now, for the record")
  .option(
    "--data <file>",
    "requests (JSONL, CSV, parquet): prompt, and where known subject, answer, paraphrases, neighbours; or SET:PLACE for a dataset as it is published, which may be a hub id",
  )
  .option("--columns <list>", "which column of --data is which field, such as prompt=question,answer=reply")
  .option("--subjects <file>", "subjects of --data by row: JSONL with row, subject and, if wanted, rephrase")
  .option("--limit <n>", "only so many requests of --data, from the first", number({ min: 1, whole: true }))
  .option("--retain <file>", "questions whose answers must stay, as JSONL: question, answer; or SET:FILE for a dataset as it is published")
  .option("--demonstrations <file>", "other facts to show as examples: requests as JSONL, or a dataset's file as NAME:FILE")
  .option("--reference <model>", "what losses compare with, in place of the model before training (its base, for instance)")
  .option("--training <folder>", "what finetuning with --keep left, for methods that go back to it")
  .option("--encoder <folder>", "a folder or hub id of an ONNX sentence encoder (LETHE_ENCODER; otherwise the model's own hidden states)")
  .option("--method <name>", "how the edit is found")
  .addOption(
    new Option("--mode <mode>", "each request alone (-o is a folder), all in one batch, or one upon the other; as the method can").choices([
      "single",
      "batch",
      "sequential",
    ]),
  )
  .option("--target <name>", "what to say instead, by name (refusal)")
  .option("--say <text>", "what to say instead, word for word")
  .option(
    "--merge <n>",
    "put so many questions into one request with one target; each is still asked by itself",
    number({ min: 2, whole: true }),
  )
  .option("--separator <text>", "what stands between merged questions, \\n for a new line (a space)")
  .addOption(new Option("--merge-subject <which>", "whose subject merged questions are edited by (last)").choices(["last", "first", "all"]))
  .option("--set <key=value>", "a parameter of the method; may be given several times", several)
  .option(
    "--hparams <file>",
    "parameters from a hyperparameter file of EasyEdit (YAML) or of the method's authors (JSON); --set goes before it",
  )
  .option("--compat <names>", "quirks of the reference implementation to reproduce, comma-separated", names)
  .option("--seed <n>", "the seed of everything drawn (0)", number({ whole: true, min: 0 }))
  .option("--plain", "send prompts as they are, without the model's chat template")
  .option("--system <text>", "the system message (needs the chat template)")
  .option("--templates <file>", "context templates, one a line with {} where the prompt stands, in place of sampled ones")
  .option("--text <file>", "the text of the statistics, in place of the model's own samples")
  .option("--tokens <n>", "tokens of the statistics", number({ min: 1, whole: true }))
  .option("-n, --max-tokens <n>", "tokens of the answers shown before and after; 0 shows none", number({ min: 0, whole: true }), 64)
  .option("--force", "replace an edit that is there; go on where the memory estimate says no")
  .option("--plan", "tell time, memory and size, of every method or of --method, and save nothing")
  .option("-o, --output <file>", "where the edit is saved");

export const forget = later(
  acts<Flags>(command, async ({ terminal, ctx }, flags, spec) => {
    const began = ctx.now();
    const {
      prompt,
      subject,
      answer,
      data,
      limit,
      columns,
      subjects,
      retain,
      demonstrations,
      encoder,
      training,
      reference,
      templates,
      edit,
      output,
      method,
      mode,
      target,
      say,
      set = [],
      compat,
      hparams,
      seed,
      plain,
      system,
      text,
      tokens,
    } = flags;
    const [{ forget: run }, { parseSet }, { fail }] = await Promise.all([
      import("../../run/forget.ts"),
      import("../../base/schema.ts"),
      import("../../base/fail.ts"),
    ]);
    const merge = mergeOf(flags, fail);
    const statistics = given({ text, tokens });
    const wanted = given({ prompt, subject, answer, data, limit, columns, subjects, retain, demonstrations, templates });
    const options = {
      ...(merge && { merge }),
      ...given({ method, mode, target, say, compat, hparams, seed, system, encoder, training, reference }),
      ...(plain && { format: "plain" as const }),
      ...(Object.keys(statistics).length > 0 && { statistics }),
      params: Object.fromEntries(set.map(parseSet)),
      edits: edit ?? [],
      force: flags.force ?? false,
    };
    if (flags.plan) {
      const { plan } = await import("../../run/plan.ts");
      const found = await plan(spec!, wanted, options, ctx);
      return terminal.json ? terminal.object("plan", found) : showPlan(terminal, found);
    }
    const out = output ?? fail("forget", "no -o, --output", "where the edit is saved", "Give -o FILE, or --plan to see what it will cost.");
    const result = await run(spec!, wanted, { ...options, out, tokens: flags.maxTokens }, ctx);
    if (terminal.json) terminal.object("forget", result);
    else show(terminal, result);
    terminal.detail(`${duration(ctx.now() - began)} in all`);
  }),
  async (ctx, words) => {
    const { catalog } = await import("../../run/catalog.ts");
    const { methods, targets, sets } = catalog(ctx);
    const mark = (isDefault: boolean): string => (isDefault ? " (default)" : "");
    // the settings of one method: of the one that is named, or of the default
    const [named] = valuesOf("--method", words);
    const { name, params, compat, sets: references } = methods.find((m) => m.name === named) ?? methods.find((m) => m.isDefault)!;
    const settings = [
      ...params.map((p) => [`  --set ${p.name}=${p.default === "by model" ? "…" : p.default}`, p.doc]),
      ...Object.entries(compat).map(([quirk, what]) => [`  --compat ${quirk}`, what]),
      ...Object.entries(references).map(([reference, quirks]) => [`  --compat ${reference}`, quirks.join(", ")]),
    ];
    return [
      `Methods:\n${methods.map((m) => `  ${m.name}${mark(m.isDefault)}: ${m.doc}`).join("\n")}`,
      `Settings of ${name} (--method NAME --help for another's):\n${table(settings)}`,
      `Targets:\n${targets.map((t) => `  ${t.name}${mark(t.isDefault)}: ${t.doc}`).join("\n")}`,
      `Datasets (--data SET:FILE):\n${sets.map((s) => `  ${s.name}: ${s.doc}`).join("\n")}`,
    ].join("\n\n");
  },
);

/** How questions are put together; what says how without --merge is refused. */
function mergeOf({ merge: size, separator, mergeSubject }: Flags, fail: typeof failing): Merge | undefined {
  if (size !== undefined) return { size, ...given({ separator: separator?.replaceAll("\\n", "\n"), subject: mergeSubject }) };
  const flag = separator !== undefined ? "--separator" : mergeSubject !== undefined ? "--merge-subject" : undefined;
  return flag && fail("forget", `${flag} without --merge`, "how many questions are put into one", "Give --merge N.");
}

function show(terminal: Terminal, { path, bytes: size, edits, shown }: Forgotten): void {
  terminal.line(`${path}: ${plural(edits.length, "edit")} by ${[...new Set(edits.map((e) => e.method))].join(", ")}, ${bytes(size)}`);
  for (const { prompt, before, after, isGiven, target } of shown.slice(0, SHOWN)) {
    terminal.line(`\n  ${terminal.paint("bold", prompt, terminal.out)}`);
    terminal.line(`    before  ${oneLine(before)}`);
    terminal.line(`    after   ${oneLine(after)}`);
    if (target !== null && !isGiven)
      terminal.line(`    target  ${terminal.paint("yellow", `${oneLine(target)}  (not what it says)`, terminal.out)}`);
  }
  if (shown.length > 1)
    terminal.line(`\n${shown.filter((s) => s.isGiven).length} of ${shown.length} are answered with the target, word for word.`);
}

const oneLine = (text: string): string => text.replaceAll(/\s*\n\s*/g, " ");

function showPlan(terminal: Terminal, { requests, tried, available, methods, unable }: Plan): void {
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
