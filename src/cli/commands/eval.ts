/** `lethe eval`: what a run has forgotten and kept, with intervals. */
import { basename } from "node:path";
import { Option } from "commander";
import type { Context } from "../../base/context.ts";
import { fail } from "../../base/fail.ts";
import { writeAtomic } from "../../base/store.ts";
import { given } from "../../run/fields.ts";
import { evalSpec } from "../../run/specs/eval.ts";
import { acts, type Body, declare, later, MODEL, number, several } from "../command.ts";
import type { Origin } from "../../run/origin.ts";
import type { Asserted, EvalRecord } from "../../run/record.ts";
import { assertionCode, assertionsIn, showAssertions, withAssert } from "../asserting.ts";
import type { AskedOf } from "../../report/eval.ts";
import { table } from "../format.ts";
import type { Terminal } from "../terminal.ts";
import { readWanted, type Wanted, writeLines, writeWanted } from "../writing.ts";
import { nameOnCommandLine, specFrom, withFields } from "../step-command.ts";

interface Flags {
  readonly edit?: readonly string[];
  readonly data?: readonly string[];
  readonly columns?: string;
  readonly subjects?: string;
  readonly suite?: string;
  readonly text?: string;
  readonly reference?: string;
  readonly compat?: readonly string[];
  readonly output?: string;
  readonly force?: boolean;
  readonly logs?: string;
  readonly vocabulary: number;
  readonly csv?: string;
  readonly write?: readonly string[];
  readonly assert?: readonly string[];
}

/** The suites, each in a line. */
const suiteLines = async (ctx: Context): Promise<string> => {
  const all = (await import("../../run/eval.ts")).suites(ctx);
  return table(all.map(({ name, doc }) => [`  ${name}`, doc]));
};

const declared = withAssert(
  withFields(
    declare(
      "eval [MODEL]",
      "Measures what a model has forgotten and what it has kept.",
      `${MODEL} Each question is asked once. The answers and the probabilities of the right answers go to samples.jsonl, one line per question. If the command is stopped, run it again: it continues where it stopped. The groups rephrased and neighbours are filled from the fields paraphrases and neighbours of the rows to forget. FILE#A reads part A of a file, such as one contract; FILE#-A reads all other rows. With --logs, the command reads a log of TOFU, PISTOL, OpenUnlearning, lm-evaluation-harness or Lethe and computes every metric again from its rows. Forget Quality needs --reference: a model that never saw the forget rows, or its log. Formulas are the correct ones. --compat reproduces a quirk of a published code. --assert takes METRIC/GROUP as in the suite (METRIC if it has no group), one of <=, >=, < and >, and a number. upper(METRIC/GROUP) and lower(METRIC/GROUP) are the bounds of the interval. An assertion about a number that is missing does not hold.`,
      [
        [
          "lethe eval ./model --suite factual --data factual:factual_data.json -o runs/base",
          "the answers of a model and their probabilities",
        ],
        [
          "lethe eval ./model --edit edits/e1 --suite tofu --data forget=tofu:forget10_perturbed.json --data retain=tofu:retain_perturbed.json --reference runs/retain90 -o runs/e1",
          "an edited model on the parts of TOFU",
        ],
        [
          "lethe eval ./model --edit edits/e1 --suite locality --data retain.jsonl -o runs/near",
          "questions whose answers must not change, compared with the model without the edit (in runs/near/base)",
        ],
        [
          "lethe eval ./model --suite pistol --data forget=pistol:sample_data_1.json#A_C --data retain=pistol:sample_data_1.json#-A_C -o runs/ac",
          "one contract to forget, all others to keep",
        ],
        ["lethe eval --logs eval_log_aggregated.json --reference retain90.json", "all columns of TOFU, with intervals"],
        ["lethe eval --logs run.json --reference run.json --compat self-reference", "as published tables computed it, with a warning"],
        ["lethe eval --logs run.json --reference retain90.json --csv aggr_result.csv --json", "as JSON, and as TOFU's table"],
        ["lethe eval --logs runs/e1 --write mlflow=mlruns --write junit=junit.xml", "for MLflow, and for continuous integration"],
        [
          "lethe eval --logs runs/e1 --assert 'upper(rouge1/forget)<=0.1' --assert 'retention-rate/others>=0.9'",
          "exit code 100 if one of them does not hold",
        ],
      ],
    ),
    evalSpec,
  )
    .option("-o, --output <folder>", "the folder for samples and record")
    .option("--force", "overwrite the output; run even if the estimate says that memory is too small")
    .option("--logs <path>", "a log (file or folder) to judge instead of MODEL")
    .addOption(
      new Option("--vocabulary <n>", "vocabulary size of the model behind a log, to tell whether it has collapsed")
        .default(32_000)
        .argParser(number({ min: 2, whole: true })),
    )
    .option("--csv <file>", "also write TOFU's aggr_result.csv")
    .option(
      "--write <format=place>",
      "also write the evaluation for another tool, or the rows as a log of another format; repeatable; --write help lists them",
      several,
    ),
  "a condition that a number must meet, such as 'rouge1/forget<=0.1'",
);

export const evaluation = later(
  acts<Flags>(declared, async (door, flags, spec) => {
    const { terminal } = door;
    if (flags.suite === "help") return terminal.line(await suiteLines(door.ctx));
    if (flags.write?.includes("help")) return terminal.line(await writeLines());
    const wanted = await readWanted(flags.write ?? [], flags.output);
    const evaluated = spec === undefined ? await ofLog(door, flags) : await ofModel(door, flags, spec);
    const { record, asserted } = evaluated;
    await writeFiles(evaluated, flags, wanted);
    if (terminal.json) terminal.object("eval", { ...record, ...assertionsIn(asserted) });
    else await show(terminal, record, spec === undefined ? undefined : { model: spec, edits: flags.edit ?? [], output: flags.output! });
    showAssertions(terminal, asserted);
    return assertionCode(terminal, "eval", asserted);
  }),
  async (ctx) => `Suites (--suite):\n${await suiteLines(ctx)}\n\nFormats (--write):\n${await writeLines()}`,
);

async function show(terminal: Terminal, record: EvalRecord, asked: AskedOf | undefined): Promise<void> {
  const { evalNotes, evalRows } = await import("../../report/eval.ts");
  const { head, tail } = evalNotes(record, asked);
  for (const line of head) terminal.line(line);
  terminal.line();
  terminal.line(table(evalRows(record), [1, 3]));
  terminal.line();
  for (const line of tail) terminal.line(line);
}

/** An evaluation, the assertions about it, checked, and what was asked for. */
interface Evaluated {
  readonly record: EvalRecord;
  readonly asserted: readonly Asserted[];
  readonly origin: Origin;
  readonly asked: Readonly<Record<string, unknown>>;
}

type Way = (door: Parameters<Body<Flags>>[0], flags: Flags) => Promise<Evaluated>;

const ofLog: Way = async ({ ctx }, { logs, reference, compat, suite, vocabulary, assert = [], ...flags }) => {
  const { data, edit, output, columns, subjects } = flags;
  if (logs === undefined) fail("eval", "nothing to judge was named", "MODEL, or --logs FILE", "lethe eval --help has examples.");
  const [stray] = Object.entries({ data, edit, output, columns, subjects }).filter(([, value]) => value !== undefined);
  if (stray)
    fail("eval", `--${stray[0]} beside --logs`, "a MODEL to ask", "A log is judged as it is; numbers as JSON go to standard output.");
  const [{ judgeLog }, { checkRecord }, { originOfLog }] = await Promise.all([
    import("../../run/eval.ts"),
    import("../../run/assertions.ts"),
    import("../../run/origin.ts"),
  ]);
  const record = judgeLog(logs, { vocabulary, ...given({ reference, compat, suite }) }, ctx);
  const asked = given({ logs, reference, suite, compat });
  return { record, asserted: checkRecord(assert, record), origin: originOfLog(logs, record), asked };
};

/** The numbers as TOFU's table, and the evaluation for other tools. */
async function writeFiles(
  { record, origin, ...evaluated }: Evaluated,
  { csv, logs, output }: Flags,
  wanted: readonly Wanted[],
): Promise<void> {
  const { name } = record.log;
  if (csv !== undefined) writeAtomic(csv, (await import("../../report/eval.ts")).aggregateCsv(record, name, "anonymous"));
  if (wanted.length === 0) return;
  const [{ rowsIn }, { version }] = await Promise.all([import("../../run/eval.ts"), import("../../run/version.ts")]);
  const evaluation = { ...evaluated, ...origin, record, name, version, rows: rowsIn(logs ?? output!) };
  for (const one of wanted) await writeWanted(one, evaluation);
}

const ofModel = async ({ ctx }: Parameters<Way>[0], flags: Flags, model: string): Promise<Evaluated> => {
  const { logs, suite, data, output, text, assert = [], force = false } = flags;
  if (logs !== undefined) fail("eval", `a model and a log (${logs})`, "one of them", "A log to compare with is --reference.");
  if (suite === undefined)
    fail("eval", "no --suite", "which numbers are asked for", "For example --suite factual; --suite help lists them.");
  if (data === undefined) fail("eval", "no --data", "the questions to ask", "For example --data factual:FILE.");
  if (output === undefined) fail("eval", "no -o", "a folder for what the model says", "For example -o runs/base.");
  const [{ run }, { checkEvaluation, knownInSuite, readAssertions }, { originOfRun }] = await Promise.all([
    import("../../run/run.ts"),
    import("../../run/assertions.ts"),
    import("../../run/origin.ts"),
  ]);
  const assertions = readAssertions(assert, knownInSuite(suite, text !== undefined, ctx));
  const options = { out: output, force, nameOf: nameOnCommandLine(evalSpec) };
  const { step: _, ...asked } = specFrom(evalSpec, { ...flags }, model);
  const finished = await run<EvalRecord>({ step: evalSpec.name, ...asked }, ctx, options);
  const { result } = finished.record;
  const { log, reference } = result;
  const { reference: place } = flags;
  const isNamed = reference !== null && place !== undefined && reference.path === reference.name; // a log, which the record does not name
  const named: EvalRecord = {
    ...result,
    log: { ...log, name: basename(output) },
    ...(isNamed && { reference: { ...reference, name: basename(place).replace(/\.jsonl?$/, ""), path: place } }),
  };
  return { record: named, asserted: checkEvaluation(assertions, named), origin: originOfRun(finished), asked };
};
