/** `lethe select`: requests chosen among others, as a file. */
import { selectSpec } from "../../run/specs/select.ts";
import type { Selected } from "../../run/steps/select.ts";
import { acts, declare } from "../command.ts";
import { count } from "../format.ts";
import { nameOnCommandLine, specFrom, withFields } from "../step-command.ts";

export const select = acts<{ readonly output: string; readonly force?: boolean }>(
  withFields(
    declare(
      "select",
      selectSpec.doc,
      "The order is: --also, --pair, --having, then --by with --number, --least and --most or --answers, then --once, then --seed, --skip and --limit, then --neighbours, --wordings, --form and --together. The file has requests of our own format, one JSON object a line.",
      [
        [
          'lethe select --data facts.jsonl --by runs/base --number "Known Others" --least 1 -o known.jsonl',
          "what a model knows (lethe eval --suite forgetting --data others=facts.jsonl -o runs/base)",
        ],
        [
          "lethe select --data known.jsonl --limit 40 --neighbours 5 -o forget.jsonl",
          "forty to forget, each with five of the others that are most like it",
        ],
        ["lethe select --data known.jsonl --limit 40 --others -o stay.jsonl", "what is left"],
        [
          'lethe select --data facts.jsonl --by runs/base --number "Known Others" --most 0.99 --answers said -o retain.jsonl',
          "what the model says to questions that it gets wrong, for --retain",
        ],
        [
          "lethe select --data zsre:zsre.json --by runs/said --answers agreed --once -o beliefs.jsonl",
          "what a model says to a question and to its paraphrase alike (lethe eval --suite answers of what --wordings makes)",
        ],
        [
          "lethe select --data factual:factual_data.json --limit 20 --forms studies/yes-no.jsonl --form negated -o negated.jsonl",
          "questions that deny the fact",
        ],
      ],
    ),
    selectSpec,
  )
    .option("--force", "replace a file that is there")
    .requiredOption("-o, --output <file>", "the file to be written"),
  async ({ terminal, ctx }, { output, force = false, ...flags }) => {
    const { run } = await import("../../run/run.ts");
    const options = { out: output, force, nameOf: nameOnCommandLine(selectSpec) };
    const { record } = await run<Selected>(specFrom(selectSpec, flags), ctx, options);
    if (terminal.json) return terminal.object("select", { path: output, ...record.result });
    terminal.line(`${output}: ${count(record.result.rows)} of ${count(record.result.of)} requests`);
  },
);
