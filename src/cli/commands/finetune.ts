/** `lethe finetune`: teaches a model questions and answers, or trains one from a recipe file. */
import { Option } from "commander";
import { acts, declare, given, number, several } from "../command.ts";
import { plural } from "../format.ts";

interface Flags {
  readonly data?: string;
  readonly recipe?: string;
  readonly columns?: string;
  readonly output: string;
  readonly limit?: number;
  readonly set?: readonly string[];
  readonly plain?: boolean;
  readonly system?: string;
  readonly seed?: number;
  readonly validate?: string;
  readonly until?: number;
  readonly keep?: boolean;
  readonly dtype?: "float32" | "bfloat16" | "float16";
  readonly fresh?: boolean;
  readonly every?: number;
  readonly force?: boolean;
}

export const finetune = acts<Flags>(
  declare(
    "finetune [MODEL]",
    "Teaches a model questions and answers, and writes it as an ordinary checkpoint.",
    "With MODEL and --data, the model learns the answers; --recipe names a benchmark's settings, --set changes them. Without MODEL, --recipe is a file that describes a model to be trained from nothing. The same model, data, settings and thread count give the same bytes. Checkpoints lie in FOLDER.training until the end: after Ctrl-C, or a kill, the same command goes on from them.",
    [
      ["lethe finetune ./model --data pistol:sample_data_1.json --recipe pistol -o out/pistol", "a benchmark as it is published"],
      ["lethe finetune ./model --data facts.jsonl --set lr=2e-5 --set epochs=10 --until 0.95 -o out/taught", "until the answers are said"],
      ["lethe finetune ./model --data facts.jsonl --keep -o out/taught", "so that rows can be taken out again (--method replay)"],
      ["lethe finetune --recipe bundled/recipe.json -o out/model", "the bundled model again"],
    ],
  )
    .option("--data <file>", "questions and answers (JSONL, CSV, parquet): question, answer; or SET:PLACE for a dataset as it is published")
    .option("--columns <list>", "which column is which field, such as prompt=question,answer=reply")
    .option("--limit <n>", "only so many rows of --data, from the first", number({ min: 1, whole: true }))
    .option("--recipe <name>", "tofu, pistol, or a file such as bundled/recipe.json")
    .option("--set <key=value>", "a setting, such as lr=2e-5, epochs=10, rank=8; may be given several times", several)
    .option("--plain", "learn questions as they are, without the model's chat template")
    .option("--system <text>", "the system message (needs the chat template)")
    .option("--validate <file>", "other questions and answers whose loss is told after every epoch")
    .option("--until <share>", "stop after the epoch in which answers have so much ROUGE-1 recall", number({ min: 0, max: 1 }))
    .option("--seed <n>", "the seed of everything drawn (0)", number({ whole: true, min: 0 }))
    .option("--keep", "keep the journal and every checkpoint, for --method replay")
    .addOption(new Option("--dtype <name>", "how weights are stored").choices(["float32", "bfloat16", "float16"]))
    .requiredOption("-o, --output <folder>", "the folder to be made")
    .option("--every <n>", "steps from one checkpoint to the next (100)", number({ min: 1, whole: true }))
    .option("--fresh", "remove checkpoints of an earlier run first")
    .option("--force", "replace a folder that is there; go on where the memory estimate says no"),
  async ({ terminal, ctx }, { output, data, recipe, set = [], plain, fresh = false, force = false, ...rest }, spec) => {
    const [{ finetune: build, finetuneOn }, { fail }, { parseSet }] = await Promise.all([
      import("../../run/finetune.ts"),
      import("../../base/fail.ts"),
      import("../../base/schema.ts"),
    ]);
    const { every, limit, columns, system, seed, validate, until, keep, dtype } = rest;
    const shared = { resume: !fresh, force, ...given({ every }) };
    const made =
      spec === undefined
        ? await build(
            recipe ?? fail("finetune", "neither MODEL nor --recipe", "a model to teach, or a recipe file", ""),
            output,
            ctx,
            shared,
          )
        : await finetuneOn(spec, data ?? fail("finetune", "nothing to learn", "--data FILE", "Give questions and answers."), output, ctx, {
            ...shared,
            ...given({ recipe, limit, columns, system, seed, validate, until, keep, dtype }),
            ...(plain && { format: "plain" as const }),
            params: Object.fromEntries(set.map(parseSet)),
          });
    const { dir, steps, losses } = made;
    if (terminal.json) terminal.object("finetune", made);
    else terminal.line(`${dir}: ${plural(steps, "step")}, loss ${losses[0]?.toFixed(3)} at first, ${losses.at(-1)?.toFixed(3)} at last`);
  },
);
