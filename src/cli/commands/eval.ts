/** `lethe eval`: what a run has forgotten and kept, with intervals. */
import { Option } from "commander";
import { fail } from "../../base/fail.ts";
import { writeAtomic } from "../../base/store.ts";
import { acts, declare, given, number, several } from "../command.ts";
import { table } from "../format.ts";

interface Flags {
  readonly logs?: string;
  readonly reference?: string;
  readonly compat?: readonly string[];
  readonly suite?: string;
  readonly vocabulary: number;
  readonly csv?: string;
  readonly write?: readonly string[];
}

/** Names divided by commas; the flag may be given several times. */
const names = (value: string, before: readonly string[] = []): readonly string[] => [
  ...before,
  ...value
    .split(",")
    .map((name) => name.trim())
    .filter(Boolean),
];

export const evaluation = acts<Flags>(
  declare(
    "eval",
    "Judges what a run has forgotten and kept.",
    "Reads the log of a run made elsewhere (TOFU, PISTOL, OpenUnlearning, lm-evaluation-harness, samples.jsonl), a file or a folder, and works every number out again from its rows. Forget Quality needs --reference, the log of a model that never saw the forget rows. Formulas are the correct ones; --compat reproduces a reference's quirk by its name.",
    [
      ["lethe eval --logs eval_log_aggregated.json --reference retain90.json", "every column of TOFU, with intervals"],
      ["lethe eval --logs run.json --reference run.json --compat self-reference", "as published tables did it, with a warning"],
      ["lethe eval --logs run.json --reference retain90.json --csv aggr_result.csv --json", "for programs, and TOFU's own table"],
    ],
  )
    .option("--logs <path>", "the log to judge, a file or a folder")
    .option("--reference <path>", "the log to compare with: of a model that never saw the forget rows")
    .option("--compat <names>", "quirks of references to reproduce, divided by commas (docs/metrics has them)", names)
    .option("--suite <name>", "judge by the columns of another suite than the log's own")
    .addOption(
      new Option("--vocabulary <n>", "tokens that the judged model knows, for when it counts as collapsed")
        .default(32_000)
        .argParser(number({ min: 2, whole: true })),
    )
    .option("--csv <file>", "write TOFU's aggr_result.csv too")
    .option("--write <format=file>", "write the rows as a log of another format too; may be given several times", several),
  async ({ terminal, ctx }, { logs, reference, compat, suite, vocabulary, csv, write = [] }) => {
    if (logs === undefined) fail("eval", "nothing to judge was named", "--logs FILE", "lethe eval --help has examples.");
    const [{ convertLog, judgeLog }, { aggregateCsv, evalNotes, evalRows }] = await Promise.all([
      import("../../run/eval.ts"),
      import("../../report/eval.ts"),
    ]);
    const record = judgeLog(logs, { vocabulary, ...given({ reference, compat, suite }) }, ctx);
    if (csv !== undefined) writeAtomic(csv, aggregateCsv(record, record.log.name, "anonymous"));
    for (const spec of write) {
      const [format, ...file] = spec.split("=");
      convertLog(logs, format!, file.join("="));
    }
    if (terminal.json) return terminal.object("eval", record);
    const { head, tail } = evalNotes(record);
    for (const line of head) terminal.line(line);
    terminal.line();
    terminal.line(table(evalRows(record), [1, 3]));
    terminal.line();
    for (const line of tail) terminal.line(line);
  },
);
