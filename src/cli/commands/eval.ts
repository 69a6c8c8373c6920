/** `lethe eval`: what a run has forgotten and kept, with intervals. */
import { Option } from "commander";
import type { Context } from "../../base/context.ts";
import { fail } from "../../base/fail.ts";
import { writeAtomic } from "../../base/store.ts";
import { acts, type Body, declare, given, later, MODEL, names, number, several } from "../command.ts";
import type { EvalRecord } from "../../run/record.ts";
import { table } from "../format.ts";

interface Flags {
  readonly edit?: readonly string[];
  readonly data?: readonly string[];
  readonly limit?: number;
  readonly seed?: number;
  readonly plain?: boolean;
  readonly system?: string;
  readonly maxTokens?: number;
  readonly batch?: number;
  readonly output?: string;
  readonly force?: boolean;
  readonly logs?: string;
  readonly reference?: string;
  readonly compat?: readonly string[];
  readonly suite?: string;
  readonly vocabulary: number;
  readonly csv?: string;
  readonly write?: readonly string[];
}

/** Names, of which an empty one is none. */
const named = (value: string, before?: readonly string[]): readonly string[] => names(value, before).filter(Boolean);

/** The suites, each in a line. */
const suiteLines = async (ctx: Context): Promise<string> => {
  const all = (await import("../../run/eval.ts")).suites(ctx);
  return table(all.map(({ name, doc }) => [`  ${name}`, doc]));
};

export const evaluation = later(
  acts<Flags>(
    declare(
      "eval [MODEL]",
      "Judges what a model, or a run made elsewhere, has forgotten and kept.",
      `With MODEL, asks it once and keeps what it says and how likely it finds the answers, a line a question, in samples.jsonl; after Ctrl-C, or a kill, the same command goes on from there. ${MODEL} Rows to forget bring along what they list: the same in other words (rephrased) and neighbours, where the suite has such groups. FILE#A takes the rows of a group of one file, such as a contract, FILE#-A all others. With --logs, reads the log of a run made elsewhere (TOFU, PISTOL, OpenUnlearning, lm-evaluation-harness, samples.jsonl), a file or a folder, and works every number out again from its rows. Forget Quality needs --reference: a model that never saw the forget rows, or what is kept of one. Formulas are the correct ones; --compat reproduces a reference's quirk by its name.`,
      [
        [
          "lethe eval ./model --suite factual --data factual:factual_data.json -o runs/base",
          "a model, by its answers and their likelihood",
        ],
        [
          "lethe eval ./model --edit edits/e1 --suite tofu --data forget=tofu:forget10_perturbed.json --data retain=tofu:retain_perturbed.json --reference runs/retain90 -o runs/e1",
          "an edited model, each part of TOFU by its name",
        ],
        [
          "lethe eval ./model --edit edits/e1 --suite locality --data retain.jsonl -o runs/near",
          "what must stay, beside the same model without the edit, which is measured into runs/near/base",
        ],
        [
          "lethe eval ./model --suite pistol --data forget=pistol:sample_data_1.json#A_C --data retain=pistol:sample_data_1.json#-A_C -o runs/ac",
          "contracts by their edges",
        ],
        ["lethe eval --logs eval_log_aggregated.json --reference retain90.json", "every column of TOFU, with intervals"],
        ["lethe eval --logs run.json --reference run.json --compat self-reference", "as published tables did it, with a warning"],
        ["lethe eval --logs run.json --reference retain90.json --csv aggr_result.csv --json", "for programs, and TOFU's own table"],
      ],
    )
      .option("-e, --edit <file>", "an edit on top of MODEL; may be given several times, first one lowest", several)
      .option(
        "--data <spec>",
        "questions for MODEL, as for lethe forget; GROUP=SPEC where the suite has groups; may be given several times",
        several,
      )
      .option("--limit <n>", "only so many questions of each --data, from the first", number({ min: 1, whole: true }))
      .option("--seed <n>", "draw them with this seed instead", number({ whole: true }))
      .option("--plain", "ask without the model's chat template")
      .option("--system <text>", "the system message (needs the chat template)")
      .option("-n, --max-tokens <n>", "tokens of an answer at most (200)", number({ min: 1, whole: true }))
      .option("--batch <n>", "questions asked together (32)", number({ min: 1, whole: true }))
      .option("-o, --output <folder>", "where MODEL's samples and record are kept")
      .option("--force", "begin anew where the folder holds another run; go on where the memory estimate says no")
      .option("--logs <path>", "the log to judge, a file or a folder, in place of MODEL")
      .option(
        "--reference <path>",
        "what to compare with: a log, the folder of an earlier run, or for MODEL another model, which is asked the same",
      )
      .option("--compat <names>", "quirks of references to reproduce, divided by commas (docs/metrics has them)", named)
      .option("--suite <name>", "which numbers: a suite of the list below, or FILE.json (for a log or an earlier run: its own)")
      .addOption(
        new Option("--vocabulary <n>", "tokens that the judged model knows, for when it counts as collapsed")
          .default(32_000)
          .argParser(number({ min: 2, whole: true })),
      )
      .option("--csv <file>", "write TOFU's aggr_result.csv too")
      .option("--write <format=file>", "write the rows as a log of another format too; may be given several times", several),
    async (door, flags, spec) => {
      const { terminal } = door;
      if (flags.suite === "help") return terminal.line(await suiteLines(door.ctx));
      const judged = spec === undefined ? await ofLog(door, flags) : await ofModel(door, flags, spec);
      const record = await written(flags, flags.logs ?? flags.output!, judged);
      if (terminal.json) return terminal.object("eval", record);
      const { evalNotes, evalRows } = await import("../../report/eval.ts");
      const { head, tail } = evalNotes(record);
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

const ofLog: Way = async ({ ctx }, { logs, reference, compat, suite, vocabulary, data, edit, output }) => {
  if (logs === undefined) fail("eval", "nothing to judge was named", "MODEL, or --logs FILE", "lethe eval --help has examples.");
  const [stray] = Object.entries({ data, edit, output }).filter(([, value]) => value !== undefined);
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

const ofModel = async ({ ctx }: Parameters<Way>[0], flags: Flags, spec: string): Promise<EvalRecord> => {
  const { logs, suite, data, output, edit, plain, reference, compat, limit, seed, system, maxTokens, batch, force } = flags;
  if (logs !== undefined) fail("eval", `a model and a log (${logs})`, "one of them", "A log to compare with is --reference.");
  if (suite === undefined)
    fail("eval", "no --suite", "which numbers are asked for", "For example --suite factual; --suite help lists them.");
  if (data === undefined) fail("eval", "no --data", "the questions to ask", "For example --data factual:FILE.");
  if (output === undefined) fail("eval", "no -o", "a folder for what the model says", "For example -o runs/base.");
  const { evalModel } = await import("../../run/measured.ts");
  return evalModel(
    spec,
    {
      suite,
      data,
      out: output,
      ...given({ edits: edit, reference, compat, limit, seed, system, maxTokens, batch, force }),
      ...(plain && { format: "plain" as const }),
    },
    ctx,
  );
};
