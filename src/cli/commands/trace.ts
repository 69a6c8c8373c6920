/** `lethe trace`: which states of a model carry an answer. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { Option } from "commander";
import type { TraceRecord, TraceStudy } from "../../run/record.ts";
import { acts, declare, MODEL, number, several } from "../command.ts";
import { plural, table } from "../format.ts";
import type { Terminal } from "../terminal.ts";

interface Flags {
  readonly edit?: readonly string[];
  readonly prompt?: string;
  readonly subject?: string;
  readonly answer?: string;
  readonly data?: string;
  readonly kind: "hidden" | "mlp" | "attn";
  readonly sever?: "mlp" | "attn";
  readonly window: number;
  readonly noise: number;
  readonly samples: number;
  readonly seed: number;
  readonly plain?: boolean;
  readonly system?: string;
  readonly force?: boolean;
  readonly output: string;
}

const whole = number({ min: 1, whole: true });

export const trace = acts<Flags>(
  declare(
    "trace <MODEL>",
    "Shows which states of the model carry an answer (causal tracing).",
    `${MODEL} The subject's embeddings are drowned in noise, and states of the undisturbed run are put back one at a time; how much of the answer's probability returns is drawn over tokens and layers. With --data, many answers are traced at their subjects' last tokens, and the layers compared with those that methods change by default.`,
    [
      [
        'lethe trace ./model --prompt "What is the capital of Australia?" --subject Australia --answer Canberra',
        "a heat map: lethe-trace/trace.svg",
      ],
      [
        'lethe trace ./model --plain --prompt "The Eiffel Tower is in the city of" --subject "The Eiffel Tower" --kind mlp',
        "of MLPs, ten layers at a time",
      ],
      ["lethe trace ./model --data requests.jsonl --kind mlp -o layers", "which layer to edit, over many facts"],
    ],
  )
    .option(
      "-e, --edit <file>",
      "an edit, or a folder with a PEFT adapter, on top of the model; may be given several times, first one lowest",
      several,
    )
    .option("--prompt <text>", "the question, or the text to go on with")
    .option("--subject <text>", "what the prompt is about, as it is spelled there (guessed without)")
    .option("--answer <text>", "the words whose first token is watched, in the model's own answer where it has them (its first token)")
    .option("--data <file>", "requests as JSONL: prompt, subject, answer; those that the model answers are traced")
    .addOption(new Option("--kind <kind>", "what is put back").choices(["hidden", "mlp", "attn"]).default("hidden"))
    .addOption(new Option("--sever <part>", "keep this part of the blocks above as it is in noise").choices(["mlp", "attn"]))
    .addOption(new Option("--window <n>", "blocks put back together, for mlp and attn").default(10).argParser(whole))
    .addOption(
      new Option("--noise <times>", "standard deviation of the noise, times that of the embeddings")
        .default(3)
        .argParser(number({ min: 0 })),
    )
    .addOption(new Option("--samples <n>", "noises that are tried").default(10).argParser(whole))
    .addOption(new Option("--seed <n>", "the seed of the noise").default(0).argParser(number({ min: 0, whole: true })))
    .option("--plain", "send the prompt as it is, without the model's chat template")
    .option("--system <text>", "the system message (needs the chat template)")
    .option("--force", "go on where the memory estimate says no")
    .option("-o, --output <folder>", "where trace.svg and trace.json go", "lethe-trace"),
  async ({ terminal, ctx }, flags, spec) => {
    const { prompt, subject, answer, data, kind, sever, window, noise, samples, seed, plain, system, edit, force, output } = flags;
    const [{ traceAnswers }, { traceBars, traceMap }] = await Promise.all([import("../../run/trace.ts"), import("../../report/trace.ts")]);
    const found = await traceAnswers(
      spec!,
      {
        ...(prompt !== undefined && { prompt }),
        ...(subject !== undefined && { subject }),
        ...(answer !== undefined && { answer }),
        ...(data !== undefined && { data }),
      },
      {
        kind,
        window,
        noise,
        samples,
        seed,
        edits: edit ?? [],
        force: force ?? false,
        ...(sever && { sever }),
        ...(plain && { format: "plain" as const }),
        ...(system !== undefined && { system }),
      },
      ctx,
    );
    const [picture, json] = [join(output, "trace.svg"), join(output, "trace.json")];
    mkdirSync(output, { recursive: true });
    const result = "record" in found ? found.record : found.study;
    writeFileSync(picture, "record" in found ? traceMap(found.record) : traceBars(found.study));
    writeFileSync(json, `${JSON.stringify(result)}\n`);
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
  const { prompt, lead, token, clean, corrupted } = answer;
  terminal.line(
    `${prompt}${lead ? `${lead.startsWith(" ") ? "" : " "}${lead.trimEnd()}` : ""} → ${terminal.paint("bold", token.trim(), terminal.out)}`,
  );
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
