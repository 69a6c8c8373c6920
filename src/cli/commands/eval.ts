/** `lethe eval`: what a run has forgotten and kept, with intervals. */
import { basename } from "node:path";
import { Option } from "commander";
import type { Context } from "../../base/context.ts";
import { fail } from "../../base/fail.ts";
import { writeAtomic } from "../../base/store.ts";
import { given } from "../../run/fields.ts";
import { evalSpec } from "../../run/specs/eval.ts";
import { acts, type Body, declare, later, MODEL, number, several } from "../command.ts";
import type { EvalRecord } from "../../run/record.ts";
import { table } from "../format.ts";
import { nameOnCommandLine, specFrom, withFields } from "../step-command.ts";

interface Flags {
  readonly edit?: readonly string[];
  readonly data?: readonly string[];
  readonly columns?: string;
  readonly subjects?: string;
  readonly suite?: string;
  readonly reference?: string;
  readonly compat?: readonly string[];
  readonly output?: string;
  readonly force?: boolean;
  readonly logs?: string;
  readonly vocabulary: number;
  readonly csv?: string;
  readonly write?: readonly string[];
}

/** The suites, each in a line. */
const suiteLines = async (ctx: Context): Promise<string> => {
  const all = (await import("../../run/eval.ts")).suites(ctx);
  return table(all.map(({ name, doc }) => [`  ${name}`, doc]));
};

export const evaluation = later(
  acts<Flags>(
    withFields(
      declare(
        "eval [MODEL]",
        "Measures what a model has forgotten and what it has kept.",
        `${MODEL} Each question is asked once. The answers and the probabilities of the right answers go to samples.jsonl, one line per question. If the command is stopped, run it again: it continues where it stopped. The groups rephrased and neighbours are filled from the fields paraphrases and neighbours of the rows to forget. FILE#A reads part A of a file, such as one contract; FILE#-A reads all other rows. With --logs, the command reads a log of TOFU, PISTOL, OpenUnlearning, lm-evaluation-harness or Lethe and computes every metric again from its rows. Forget Quality needs --reference: a model that never saw the forget rows, or its log. Formulas are the correct ones. --compat reproduces a quirk of a published code.`,
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
      .option("--write <format=file>", "also write the rows as a log of another format; repeatable", several),
    async (door, flags, spec) => {
      const { terminal } = door;
      if (flags.suite === "help") return terminal.line(await suiteLines(door.ctx));
      const judged = spec === undefined ? await ofLog(door, flags) : await ofModel(door, flags, spec);
      const record = await written(flags, flags.logs ?? flags.output!, judged);
      if (terminal.json) return terminal.object("eval", record);
      const { evalNotes, evalRows } = await import("../../report/eval.ts");
      const { head, tail } = evalNotes(
        record,
        spec === undefined ? undefined : { model: spec, edits: flags.edit ?? [], output: flags.output! },
      );
      for (const line of head) terminal.line(line);
      terminal.line();
      terminal.line(table(evalRows(record), [1, 3]));
      terminal.line();
      for (const line of tail) terminal.line(line);
    },
  ),
  async (ctx) => `Suites (--suite):\n${await suiteLines(ctx)}`,
);

type Way = (door: Parameters<Body<Flags>>[0], flags: Flags) => Promise<EvalRecord>;

const ofLog: Way = async ({ ctx }, { logs, reference, compat, suite, vocabulary, data, edit, output, columns, subjects }) => {
  if (logs === undefined) fail("eval", "nothing to judge was named", "MODEL, or --logs FILE", "lethe eval --help has examples.");
  const [stray] = Object.entries({ data, edit, output, columns, subjects }).filter(([, value]) => value !== undefined);
  if (stray)
    fail("eval", `--${stray[0]} beside --logs`, "a MODEL to ask", "A log is judged as it is; numbers as JSON go to standard output.");
  const { judgeLog } = await import("../../run/eval.ts");
  return judgeLog(logs, { vocabulary, ...given({ reference, compat, suite }) }, ctx);
};

/** The numbers as TOFU's table, and the rows of a log in other formats. */
async function written({ csv, write = [] }: Flags, log: string, record: EvalRecord): Promise<EvalRecord> {
  const [{ convertLog }, { aggregateCsv }] = await Promise.all([import("../../run/eval.ts"), import("../../report/eval.ts")]);
  if (csv !== undefined) writeAtomic(csv, aggregateCsv(record, record.log.name, "anonymous"));
  for (const one of write) {
    const [format, ...file] = one.split("=");
    convertLog(log, format!, file.join("="));
  }
  return record;
}

const ofModel = async ({ ctx }: Parameters<Way>[0], flags: Flags, model: string): Promise<EvalRecord> => {
  const { logs, suite, data, output, force = false } = flags;
  if (logs !== undefined) fail("eval", `a model and a log (${logs})`, "one of them", "A log to compare with is --reference.");
  if (suite === undefined)
    fail("eval", "no --suite", "which numbers are asked for", "For example --suite factual; --suite help lists them.");
  if (data === undefined) fail("eval", "no --data", "the questions to ask", "For example --data factual:FILE.");
  if (output === undefined) fail("eval", "no -o", "a folder for what the model says", "For example -o runs/base.");
  const { run } = await import("../../run/run.ts");
  const options = { out: output, force, nameOf: nameOnCommandLine(evalSpec) };
  const { record } = await run<EvalRecord>(specFrom(evalSpec, { ...flags }, model), ctx, options);
  const { log, reference } = record.result;
  const { reference: place } = flags;
  const isNamed = reference !== null && place !== undefined && reference.path === reference.name; // a log, which the record does not name
  return {
    ...record.result,
    log: { ...log, name: basename(output) },
    ...(isNamed && { reference: { ...reference, name: basename(place).replace(/\.jsonl?$/, ""), path: place } }),
  };
};
