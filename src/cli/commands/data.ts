/** `lethe data`: which datasets can be read, what one holds, and contracts of one's own. */
import { fail, nearest } from "../../base/fail.ts";
import type { DataCard } from "../../run/datasets.ts";
import { acts, declare, later, number, several } from "../command.ts";
import { given } from "../../run/fields.ts";
import { DATA_FIELDS, DRAW } from "../../run/specs/requests.ts";
import { count, plural, table } from "../format.ts";
import { withFields } from "../step-command.ts";
import type { Terminal } from "../terminal.ts";

const whole = number({ min: 0, whole: true });
const positive = number({ min: 1, whole: true });

/** What DATA may be; stands in every help that takes it. */
const DATA =
  "DATA is a file (JSONL, JSON, CSV, TSV, parquet), a folder of such files, or a dataset on the hub (org/name). SET:DATA reads the format of a published dataset. DATA#SPLIT reads one split of several.";

interface Reading {
  readonly columns?: string;
  readonly subjects?: string;
  readonly limit?: number;
  readonly seed?: number;
}

const list = acts(
  declare("list [WORD...]", "Lists the published datasets that can be read.", "", [["lethe data", "the same"]])
    .alias("ls")
    .usage("[options]"),
  async ({ terminal }, _flags, ...more) => {
    if (more.length) refuseWord(more[0]!);
    const { listSets } = await import("../../run/datasets.ts");
    const sets = listSets();
    if (terminal.json) return terminal.object("datasets", { sets });
    const rows = sets.flatMap(({ name, doc, source, splits = [] }) => [
      [name, doc],
      ["", `source: ${source}`],
      ...(splits.length ? [["", splits.map((split) => `#${split}`).join(" ")]] : []),
    ]);
    terminal.line(table([["SET", ""], ...rows]));
    terminal.note("\nThis package holds no datasets. Name your file or folder as SET:PLACE, or give a hub id.");
  },
);

/** "data" alone lists; a word that is no command of it arrives at the list. */
function refuseWord(word: string): never {
  const words = ["list", "show", "convert", "pistol"];
  const near = nearest(word, words);
  return fail(
    "data",
    `there is no command "${word}"`,
    words.join(", "),
    near ? `Did you mean lethe data ${near}?` : "To look at data: lethe data show DATA.",
  );
}

const reading = (command: ReturnType<typeof declare>): ReturnType<typeof declare> =>
  withFields(command, { name: "data", doc: "", fields: { ...DATA_FIELDS, ...DRAW } });

/** Requests shown one by one without --limit. */
const SHOWN = 8;

const show = acts<Reading & { readonly model?: string }>(
  reading(
    declare("show <DATA>", "Shows what data contains, which subjects were guessed, and the first rows.", DATA, [
      ["lethe data show requests.jsonl", "of your own"],
      ["lethe data show tofu:TOFU#forget10", "a split of a published dataset's folder"],
      ["lethe data show questions.csv --columns prompt=question,answer=reply", "a table with other column names"],
      ["lethe data show org/name#train --columns prompt=question --limit 20 --seed 1", "twenty rows of a dataset of the hub"],
      ["lethe data show requests.jsonl --model ./model", "with the last token of each subject in the model's tokenizer"],
    ]),
  ).option("--model <model>", "a model (folder, .gguf file or hub id) whose tokenizer shows the last token of each subject"),
  async ({ terminal, ctx }, { columns, subjects, limit, seed, model }, data) => {
    const { showData } = await import("../../run/datasets.ts");
    const card = await showData(data!, ctx, given({ columns, subjects, limit, seed, model }));
    if (terminal.json) return terminal.object("data", card);
    describe(terminal, card, limit ?? SHOWN);
  },
);

function describe(terminal: Terminal, card: DataCard, shown: number): void {
  const { requests, guessed, without, groups, relations, placed } = card;
  const all = requests.length;
  const facts: [string, string][] = [
    ...Object.entries(card.with).map(([field, n]): [string, string] => [
      field,
      n === all ? "all" : n === 0 ? "none" : `${count(n)} of ${count(all)}`,
    ]),
    ...(groups ? [["groups", count(groups)] as [string, string]] : []),
    ...(relations ? [["relations", count(relations)] as [string, string]] : []),
    [
      "subjects",
      `${count(all - guessed.length - without.length)} given, ${count(guessed.length)} guessed (marked ?), ${count(without.length)} none`,
    ],
  ];
  terminal.line(
    `${terminal.paint("bold", card.data, terminal.out)}: ${plural(all, "request")}\n${table(facts.map(([name, value]) => [`  ${name}`, value]))}`,
  );
  const isGuessed = new Set(guessed);
  const lasts = new Map(placed?.map((place) => [place.id, place]));
  for (const { id, prompt, subject, answer } of requests.slice(0, shown)) {
    const place = lasts.get(id);
    const end = place?.last == null ? "" : ` ends at "${place.last}"`;
    terminal.line(`\n  ${terminal.paint("dim", id, terminal.out)}  [${subject}${isGuessed.has(id) ? "?" : ""}]${end}`);
    terminal.line(`    ${brief(prompt)}${answer ? `\n    → ${brief(answer)}` : ""}`);
  }
  if (all > shown) terminal.line(`\n  … and ${count(all - shown)} more (--limit, or --json has them)`);
  const lost = placed?.filter(({ last }) => last === null) ?? [];
  if (lost.length)
    terminal.event({
      kind: "warning",
      who: "data",
      text: `no place for ${plural(lost.length, "subject")}: ${lost[0]!.id}: ${lost[0]!.why}`,
    });
}

const brief = (text: string): string => {
  const line = text.replaceAll(/\s*\n\s*/g, " ");
  return line.length > 140 ? `${line.slice(0, 139)}…` : line;
};

const convert = acts<Reading & { readonly output: string; readonly force?: boolean }>(
  reading(
    declare(
      "convert <DATA>",
      "Writes data as requests in Lethe's format, one JSON object per line.",
      `${DATA} Guessed subjects stand in the file, where they can be corrected.`,
      [
        ["lethe data convert tofu:TOFU#forget10 --limit 40 -o forty.jsonl", "a part of a published dataset"],
        ["lethe data convert questions.parquet --columns prompt=question,answer=reply -o mine.jsonl", "a table"],
      ],
    ),
  )
    .option("--force", "overwrite the output file")
    .requiredOption("-o, --output <file>", "the output file"),
  async ({ terminal, ctx }, { columns, subjects, limit, seed, output, force = false }, data) => {
    const { convertData } = await import("../../run/datasets.ts");
    const made = await convertData(data!, output, ctx, { ...given({ columns, subjects, limit, seed }), force });
    if (terminal.json) return terminal.object("data-file", made);
    terminal.line(`${made.path}: ${plural(made.rows, "request")}, ${count(made.guessed.length)} with a guessed subject`);
  },
);

interface Contracts {
  readonly shape: string;
  readonly seed: number;
  readonly nodes?: number;
  readonly edges?: number;
  readonly employment?: number;
  readonly forget?: readonly string[];
  readonly output: string;
  readonly force?: boolean;
}

const pistol = later(
  acts<Contracts>(
    declare(
      "pistol",
      "Writes contracts between companies and people that do not exist, with twenty questions each.",
      "No model has seen these contracts, and their connections are known. So you can measure what forgetting one contract does to the others. The folder holds requests.jsonl (our format, with paraphrases, neighbours and false answers), published.jsonl (question, answer, edge), contracts.jsonl (their texts), graph.json, and with --forget also forget.jsonl, retain.jsonl and independent.jsonl. The same flags give the same bytes.",
      [
        ["lethe data pistol --shape sample-1 --seed 1 --forget A_C -o out/contracts", "the published structure, one contract to forget"],
        ["lethe data pistol --shape star --nodes 30 --employment 2 --seed 7 -o out/star", "a hub with 29 partners, two employees each"],
        [
          "lethe data pistol --shape random --nodes 20 --edges 60 --seed 7 --forget 3 -o out/random",
          "all contracts of company 3 to forget",
        ],
      ],
    )
      .option("--shape <name>", "the shape of the graph (see below)", "sample-1")
      .option("--seed <n>", "the seed of the generator", whole, 0)
      .option("--nodes <n>", "companies, of a shape that can have any number (10)", positive)
      .option("--edges <n>", "sales of a random graph (twice as many as companies)", positive)
      .option("--employment <n>", "employees of each company, beyond those of the shape (0)", whole)
      .option("--forget <id>", "a contract, or a company or person for all of theirs; may be given several times", several)
      .option("--force", "replace a folder of contracts that is there")
      .requiredOption("-o, --output <folder>", "the folder to be made"),
    async ({ terminal, ctx }, { shape, seed, nodes, edges, employment, forget, output, force = false }, ...words) => {
      if (words.length) fail("data pistol", `"${words[0]}"`, "flags only", "");
      const { generateContracts } = await import("../../run/datasets.ts");
      const made = await generateContracts(output, { shape, seed, force, ...given({ nodes, edges, employment, forget }) }, ctx);
      if (terminal.json) return terminal.object("contracts", made);
      const { companies, people, contracts, forgotten } = made;
      terminal.line(`${made.folder}: ${plural(contracts, "contract")} between ${count(companies)} companies and ${count(people)} people`);
      terminal.line(
        table(
          Object.entries(made.files).map(([file, rows]) => [`  ${file}`, count(rows)]),
          [1],
        ),
      );
      if (forgotten.length) terminal.line(`  to forget: ${forgotten.slice(0, 12).join(", ")}${forgotten.length > 12 ? ", …" : ""}`);
    },
  ),
  async () => {
    const { shapes } = await import("../../run/datasets.ts");
    return `Shapes:\n${table(shapes().map(({ name, doc }) => [`  ${name}`, doc]))}`;
  },
);

export const data = declare("data", "Shows data, converts it, and makes contracts to forget.", "", [
  ["lethe data", "the published datasets that can be read"],
  ["lethe data show requests.jsonl", "what a file holds"],
  ["lethe data pistol --shape sample-1 --seed 1 -o out/contracts", "contracts of your own"],
])
  .addCommand(list, { isDefault: true })
  .addCommand(show)
  .addCommand(convert)
  .addCommand(pistol);
