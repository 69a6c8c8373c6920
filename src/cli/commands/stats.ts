/** `lethe stats`: the second moments that an edit weighs its change by, ahead of time. */
import { statsSpec } from "../../run/specs/stats.ts";
import type { Gathered } from "../../run/steps/stats.ts";
import { acts, declare, MODEL } from "../command.ts";
import { count, plural, table } from "../format.ts";
import { specFrom, withFields } from "../step-command.ts";

export const stats = acts<{ readonly force?: boolean; readonly text?: string }>(
  withFields(
    declare(
      "stats <MODEL>",
      statsSpec.doc,
      `${MODEL} The moments go into the cache, by model, text, number of tokens, layer and site. \`forget\` with the same text and number of tokens uses them. Without them it computes them itself. Ctrl-C keeps the sums so far.`,
      [
        ["lethe stats bundled --layer 2", "over text that the model generates itself"],
        [
          "lethe stats ./model --text corpus.txt --tokens 100000 --layer 12",
          "over your own text (then: forget --text corpus.txt --tokens 100000)",
        ],
      ],
    ),
    statsSpec,
  ).option("--force", "run even if the estimate says that memory is too small"),
  async ({ terminal, ctx }, flags, model) => {
    const { run } = await import("../../run/run.ts");
    const { record } = await run<{ readonly moments: readonly Gathered[] }>(specFrom(statsSpec, { ...flags }, model), ctx, {
      force: flags.force ?? false,
    });
    const { moments } = record.result;
    if (terminal.json) return terminal.object("stats", { model, moments, cache: ctx.cache });
    const rows = moments.map((g) => [
      String(g.layer),
      g.site,
      String(g.width),
      g.meanSquare.toPrecision(4),
      `${count(g.tokens)} of ${g.spec.text === "self" ? "the model's own" : flags.text}`,
    ]);
    const source = flags.text ?? "text that the model generated";
    terminal.line(`Second moments of ${plural(rows.length, "layer")} of ${model!} over ${source}, kept in ${ctx.cache}\n`);
    terminal.line(table([["LAYER", "SITE", "WIDTH", "MEAN SQUARE", "TOKENS"], ...rows], [0, 2, 3]));
  },
);
