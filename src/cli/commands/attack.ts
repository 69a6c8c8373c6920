/** `lethe attack`: tries to bring back what a model was made to forget. */
import { Option } from "commander";
import type { AttackRecord } from "../../run/attack.ts";
import { acts, declare, given, later, MODEL, names, number, several, valuesOf } from "../command.ts";
import { plural, table } from "../format.ts";
import type { Terminal } from "../terminal.ts";

interface Flags {
  readonly edit?: readonly string[];
  readonly prompt?: string;
  readonly subject?: string;
  readonly answer?: string;
  readonly data?: string;
  readonly limit?: number;
  readonly attack?: string;
  readonly from?: readonly string[];
  readonly samples?: number;
  readonly set?: readonly string[];
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
      "Attacks a model for what it was made to forget, and tells how much of it comes back.",
      `${MODEL} Each request is asked as it is, and then attacked. The attack that is made by default asks in other words: the request's own paraphrases, templates, and as the unedited model puts it. What comes back is the share of the answer's words that is said (ROUGE-1 recall). WORST is the most that any of so many attempts brings back, MEAN what they bring back on average. A prompt that cannot be asked is left out and counted.`,
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
        [
          "lethe attack ./model --edit edits/e1 --data requests.jsonl --attack mine --plugin mine.mjs",
          "an attack of your own (docs/extend.md)",
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
      .option("--attack <name>", "which attack is made, of the list below")
      .option("--from <sources>", "where its attempts come from, comma-separated (all)", names)
      .option("--samples <n>", "questions of each source for a request, at most (8); the same as --set samples=N", whole)
      .option("--set <key=value>", "a parameter of the attack; may be given several times", several)
      .option("--sizes <n,n,...>", "for how many attempts what comes back is told (1,2,4,... up to all)", (text: string) =>
        text.split(",").map(number({ min: 0, whole: true })),
      )
      .addOption(new Option("--seed <n>", "the seed of everything drawn").default(0).argParser(number({ min: 0, whole: true })))
      .option("--plain", "send prompts as they are, without the model's chat template")
      .option("--system <text>", "the system message (needs the chat template)"),
    async ({ terminal, ctx }, flags, spec) => {
      const { edit, prompt, subject, answer, data, limit, attack: name, from, samples, set = [], sizes, seed, plain, system } = flags;
      const [{ attackSpec }, { parseSet }] = await Promise.all([import("../../run/attack.ts"), import("../../base/schema.ts")]);
      const found = await attackSpec(
        spec!,
        given({ prompt, subject, answer, data, limit }),
        {
          edits: edit ?? [],
          seed,
          params: Object.fromEntries(set.map(parseSet)),
          ...given({ attack: name, from, samples, sizes, system }),
          ...(plain && { format: "plain" as const }),
        },
        ctx,
      );
      if (terminal.json) terminal.object("attack", found);
      else show(terminal, found);
    },
  ),
  async (ctx, words) => {
    const { catalog } = await import("../../run/catalog.ts");
    const { attacks } = catalog(ctx);
    const [wanted] = valuesOf("--attack", words);
    const { name, sources, params } = attacks.find((one) => one.name === wanted) ?? attacks.find((one) => one.isDefault)!;
    const settings = params.map((p) => [`  --set ${p.name}=${p.default === "by model" ? "…" : p.default}`, p.doc]);
    return [
      `Attacks (--attack):\n${attacks.map((one) => `  ${one.name}${one.isDefault ? " (default)" : ""}: ${one.doc}; access: ${one.access}; knows: ${one.knows.join(", ")}`).join("\n")}`,
      `Sources of ${name} (--from; --attack NAME --help for another's):\n${table(Object.entries(sources).map(([id, what]) => [`  ${id}`, what]))}`,
      ...(settings.length > 0 ? [`Settings of ${name}:\n${table(settings)}`] : []),
    ].join("\n\n");
  },
);

const share = (x: number): string => x.toFixed(3);

function show(terminal: Terminal, { attack: name, sources, direct, sweep, requests, dropped }: AttackRecord): void {
  const tried = Object.entries(sources).map(([source, count]) => `${count} ${source}`);
  terminal.line(`${plural(requests.length, "request")}, attacked by ${name}: ${tried.join(", ")}`);
  const left = Object.entries(dropped).map(([what, count]) => `${count} × ${what}`);
  terminal.line(left.length > 0 ? `Left out, and in no number: ${left.join(", ")}.\n` : "");
  const rows = sweep.map(({ size, mean, worst, error, short }) => [
    `${size}`,
    share(mean),
    share(worst),
    `± ${share(error)}`,
    short > 0 ? `${plural(short, "request")} have fewer` : "",
  ]);
  terminal.line(table([["ATTEMPTS", "MEAN", "WORST", "", ""], ["as it is", share(direct), share(direct), "", ""], ...rows], [1, 2, 3]));
  const brought = requests
    .map((request) => ({ ...request, best: request.variants.toSorted((a, b) => b.recall - a.recall)[0] }))
    .filter(({ best, recall }) => best !== undefined && best.recall > recall)
    .sort((a, b) => b.best!.recall - b.recall - (a.best!.recall - a.recall));
  for (const { answer, best, said, prompt } of brought.slice(0, SHOWN)) {
    terminal.line(`\n  ${terminal.paint("bold", prompt, terminal.out)}  (${oneLine(answer)})`);
    terminal.line(`    as it is  ${oneLine(said)}`);
    terminal.line(`    ${best!.source.padEnd(9)} ${oneLine(best!.question || best!.said)}`);
    if (best!.question !== "") terminal.line(`              ${oneLine(best!.said)}`);
  }
  if (brought.length > 0) terminal.line(`\n${brought.length} of ${requests.length} give more away when they are attacked.`);
}

const oneLine = (text: string): string => text.replaceAll(/\s*\n\s*/g, " ");
