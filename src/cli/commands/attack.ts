/** `lethe attack`: asks in other words for what a model was made to forget. */
import { Option } from "commander";
import type { AttackRecord } from "../../run/attack.ts";
import { acts, declare, later, MODEL, names, number, several } from "../command.ts";
import { given } from "../../run/fields.ts";
import { plural, table } from "../format.ts";
import type { Terminal } from "../terminal.ts";

interface Flags {
  readonly edit?: readonly string[];
  readonly prompt?: string;
  readonly subject?: string;
  readonly answer?: string;
  readonly data?: string;
  readonly limit?: number;
  readonly from?: readonly string[];
  readonly samples: number;
  readonly sizes?: readonly number[];
  readonly seed: number;
  readonly plain?: boolean;
  readonly system?: string;
}

const whole = number({ min: 1, whole: true });
/** Requests shown at most. */
const SHOWN = 5;

export const attack = later(
  acts<Flags>(
    declare(
      "attack <MODEL>",
      "Asks in other words for what was forgotten, and tells how much of it comes back.",
      `${MODEL} Each request is asked as it is and in other ways: its own paraphrases, templates, and as the unedited model puts it. What comes back is the share of the answer's words that is said (ROUGE-1 recall). WORST is the most that any of so many questions brings back, MEAN what they bring back on average.`,
      [
        ["lethe attack ./model --edit edits/e1 --data requests.jsonl", "every source, up to 8 questions of each for a request"],
        [
          'lethe attack bundled --edit edits/e1 --prompt "Who painted The Amber Ferry?" --from templates --samples 14',
          "one fact, by templates alone",
        ],
        [
          "lethe attack ./model --data requests.jsonl --sizes 1,3,10 --samples 10",
          "what a model without edits says: the bound of any attack",
        ],
      ],
    )
      .option(
        "-e, --edit <file>",
        "an edit, or a folder with a PEFT adapter, on top of the model; may be given several times, first one lowest",
        several,
      )
      .option("--prompt <text>", "the question whose answer was to go")
      .option("--subject <text>", "what the prompt is about, as it is spelled there (guessed without)")
      .option("--answer <text>", "what must not be said (what the unedited model answers)")
      .option(
        "--data <file>",
        "requests as JSONL: prompt, and where known subject, answer, paraphrases; or SET:FILE for a dataset as it is published",
      )
      .option("--limit <n>", "only so many requests of --data, from the first", whole)
      .option("--from <sources>", "where questions come from, comma-separated (all)", names)
      .addOption(new Option("--samples <n>", "questions of each source for a request, at most").default(8).argParser(whole))
      .option("--sizes <n,n,...>", "for how many questions what comes back is told (1,2,4,... up to all)", (text: string) =>
        text.split(",").map(number({ min: 0, whole: true })),
      )
      .addOption(new Option("--seed <n>", "the seed of everything drawn").default(0).argParser(number({ min: 0, whole: true })))
      .option("--plain", "send prompts as they are, without the model's chat template")
      .option("--system <text>", "the system message (needs the chat template)"),
    async ({ terminal, ctx }, flags, spec) => {
      const { edit, prompt, subject, answer, data, limit, from, samples, sizes, seed, plain, system } = flags;
      const { attackSpec } = await import("../../run/attack.ts");
      const found = await attackSpec(
        spec!,
        given({ prompt, subject, answer, data, limit }),
        { edits: edit ?? [], samples, seed, ...given({ from, sizes, system }), ...(plain && { format: "plain" as const }) },
        ctx,
      );
      if (terminal.json) terminal.object("attack", found);
      else show(terminal, found);
    },
  ),
  async () => {
    const { attackCards } = await import("../../run/attack.ts");
    return attackCards()
      .map(
        ({ name, doc, sources }) =>
          `${name}: ${doc}. Sources (--from):\n${table(Object.entries(sources).map(([id, what]) => [`  ${id}`, what]))}`,
      )
      .join("\n\n");
  },
);

const share = (x: number): string => x.toFixed(3);

function show(terminal: Terminal, { sources, direct, sweep, requests }: AttackRecord): void {
  const asked = Object.entries(sources).map(([source, count]) => `${count} ${source}`);
  terminal.line(`${plural(requests.length, "request")}, asked in other ways: ${asked.join(", ")}\n`);
  const rows = sweep.map(({ size, mean, worst, error, short }) => [
    `${size}`,
    share(mean),
    share(worst),
    `± ${share(error)}`,
    short > 0 ? `${plural(short, "request")} have fewer` : "",
  ]);
  terminal.line(table([["QUESTIONS", "MEAN", "WORST", "", ""], ["as it is", share(direct), share(direct), "", ""], ...rows], [1, 2, 3]));
  const brought = requests
    .map((request) => ({ ...request, best: request.variants.toSorted((a, b) => b.recall - a.recall)[0] }))
    .filter(({ best, recall }) => best !== undefined && best.recall > recall)
    .sort((a, b) => b.best!.recall - b.recall - (a.best!.recall - a.recall));
  for (const { answer, best, said, prompt } of brought.slice(0, SHOWN)) {
    terminal.line(`\n  ${terminal.paint("bold", prompt, terminal.out)}  (${oneLine(answer)})`);
    terminal.line(`    as it is  ${oneLine(said)}`);
    terminal.line(`    ${best!.source.padEnd(9)} ${oneLine(best!.question)}`);
    terminal.line(`              ${oneLine(best!.said)}`);
  }
  if (brought.length > 0) terminal.line(`\n${brought.length} of ${requests.length} give more away when they are asked otherwise.`);
}

const oneLine = (text: string): string => text.replaceAll(/\s*\n\s*/g, " ");
