/** `lethe trace`: which states of a model carry an answer. */
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { holding, writeAtomic } from "../../base/store.ts";
import type { TraceRecord, TraceStudy } from "../../run/record.ts";
import { traceSpec } from "../../run/specs/trace.ts";
import type { Traced } from "../../run/steps/trace.ts";
import { acts, declare, MODEL } from "../command.ts";
import { plural, table } from "../format.ts";
import { specFrom, withFields } from "../step-command.ts";
import type { Terminal } from "../terminal.ts";

interface Flags {
  readonly force?: boolean;
  readonly output: string;
}

export const trace = acts<Flags>(
  withFields(
    declare(
      "trace <MODEL>",
      traceSpec.doc,
      `${MODEL} Noise corrupts the embeddings of the subject. Then states of the clean run are restored one at a time. The map shows, for each token and layer, how much of the answer's probability returns. With --data, many answers are traced at the last tokens of their subjects, and the layers are compared with those that methods change by default.`,
      [
        [
          'lethe trace ./model --prompt "What is the capital of Australia?" --subject Australia --answer Canberra',
          "a heat map: lethe-trace/trace.svg",
        ],
        [
          'lethe trace ./model --plain --prompt "The Eiffel Tower is in the city of" --subject "The Eiffel Tower" --kind mlp',
          "MLP outputs, ten layers at a time",
        ],
        ["lethe trace ./model --data requests.jsonl --kind mlp -o layers", "which layer to edit, averaged over many facts"],
      ],
    ),
    traceSpec,
  )
    .option("--force", "run even if the estimate says that memory is too small")
    .option("-o, --output <folder>", "the folder for trace.svg and trace.json", "lethe-trace"),
  async ({ terminal, ctx }, { output, force = false, ...flags }, model) => {
    const [{ run }, { traceBars, traceMap }] = await Promise.all([import("../../run/run.ts"), import("../../report/trace.ts")]);
    const picture = join(output, "trace.svg");
    const { found, result } = await holding(output, "trace", async () => {
      const { record } = await run<Traced>(specFrom(traceSpec, flags, model), ctx, { force });
      const made = record.result;
      const told = "record" in made ? made.record : made.study;
      writeAtomic(picture, "record" in made ? traceMap(made.record) : traceBars(made.study));
      writeAtomic(join(output, "trace.json"), `${JSON.stringify(told)}\n`);
      return { found: made, result: told };
    });
    if (terminal.json) return terminal.object("trace", { picture, ...result });
    if ("record" in found) showOne(terminal, found.record);
    else showMany(terminal, found.study);
    terminal.line(`\nThe picture: ${pathToFileURL(resolve(picture)).href}`);
  },
);

/** Places shown at most. */
const SHOWN = 5;
const chance = (p: number): string => (p >= 0.01 ? p.toFixed(2) : p.toPrecision(1));
const signed = (x: number): string => `${x < 0 ? "-" : "+"}${Math.abs(x).toFixed(3)}`;

function showOne(terminal: Terminal, { answer, tokens, effects }: TraceRecord): void {
  const { prompt, lead, token, clean, corrupted, isChosen, said } = answer;
  terminal.line(
    `${prompt}${lead ? `${lead.startsWith(" ") ? "" : " "}${lead.trimEnd()}` : ""} → ${terminal.paint("bold", token.trim(), terminal.out)}`,
  );
  if (isChosen) terminal.line(`of the answer "${said}" this token loses most when the subject is in noise; --answer watches another`);
  terminal.line(`probability ${chance(clean)}; with the subject in noise ${chance(corrupted)}\n`);
  const places = effects.flatMap((own, i) => own.map((effect, layer) => ({ token: tokens[i]!, layer, effect })));
  const best = places.sort((a, b) => b.effect - a.effect).slice(0, SHOWN);
  const rows = best.map((p) => [
    p.token.text.trim() || JSON.stringify(p.token.text),
    String(p.layer),
    signed(p.effect),
    p.token.isSubject ? "subject" : "",
  ]);
  terminal.line(table([["PUT BACK AT", "LAYER", "EFFECT", ""], ...rows], [1, 2]));
}

function showMany(terminal: Terminal, { facts, unknown, average, peak, defaults }: TraceStudy): void {
  const rest = unknown.length > 0 ? `; ${unknown.length} more that the model does not answer were left out` : "";
  terminal.line(`${plural(facts.length, "answer")} traced at the subject's last token${rest}\n`);
  const of = (layer: number): string => signed(average[layer]!.effect);
  const rows = average.map(({ effect, error }, layer) => [
    String(layer),
    signed(effect),
    error.toFixed(3),
    "█".repeat(Math.max(0, Math.round((24 * effect) / Math.max(1e-12, average[peak]!.effect)))),
  ]);
  terminal.line(table([["LAYER", "EFFECT", "±", ""], ...rows], [0, 1, 2]));
  terminal.line(`\nThe traces speak for layer ${peak} (${of(peak)}).`);
  for (const { method, layers } of defaults)
    terminal.line(`  ${method} changes ${layers.map((layer) => `${layer} (${of(layer)})`).join(", ")} by default`);
}
