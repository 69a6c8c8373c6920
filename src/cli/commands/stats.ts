/** `lethe stats`: the second moments that an edit weighs its change by, ahead of time. */
import { acts, declare, given, MODEL, number } from "../command.ts";
import { count, table } from "../format.ts";

interface Flags {
  readonly text?: string;
  readonly tokens?: number;
  readonly layer: readonly number[];
  readonly site?: string;
  readonly seed?: number;
  readonly force?: boolean;
}

const whole = number({ min: 0, whole: true });
const layers = (text: string, before: readonly number[] | undefined): readonly number[] => [...(before ?? []), whole(text)];

export const stats = acts<Flags>(
  declare(
    "stats <MODEL>",
    "Gathers second moments of a layer over a text, ahead of an edit.",
    `${MODEL} They are kept in the cache by model, text, count, layer and site; \`forget\` with the same text and count finds them there, and makes them itself where it does not. Ctrl-C keeps what is summed so far.`,
    [
      ["lethe stats bundled --layer 2", "over the model's own samples"],
      [
        "lethe stats ./model --text corpus.txt --tokens 100000 --layer 12",
        "over a text of yours (then: forget --text corpus.txt --tokens 100000)",
      ],
    ],
  )
    .option("--text <file>", "a text file, in place of the model's own seeded samples")
    .option("--tokens <n>", "tokens at most", number({ min: 1, whole: true }))
    .requiredOption("--layer <n>", "the block, counted from 0; may be given several times", layers)
    .option("--site <name>", "where in the block (the input of the MLP's output matrix)")
    .option("--seed <n>", "the seed of the samples (0)", number({ min: 0, whole: true }))
    .option("--force", "go on where the memory estimate says no"),
  async ({ terminal, ctx }, { text, tokens, layer, site, seed, force }, spec) => {
    const { gather } = await import("../../run/stats.ts");
    const gathered = await gather(spec!, layer, given({ text, tokens, site, seed, force }), ctx);
    if (terminal.json) return terminal.object("stats", { model: spec, moments: gathered, cache: ctx.cache });
    const rows = gathered.map((g) => [
      String(g.layer),
      g.site,
      String(g.width),
      g.meanSquare.toPrecision(4),
      `${count(g.spec.tokens)} of ${g.spec.text === "self" ? "the model's own" : g.spec.text}`,
    ]);
    terminal.line(table([["LAYER", "SITE", "WIDTH", "MEAN SQUARE", "TOKENS"], ...rows], [0, 2, 3]));
    terminal.note(`kept in ${ctx.cache}`);
  },
);
