/** `lethe models`: which models are at hand, and what one is like. */
import { fail, nearest } from "../../base/fail.ts";
import type { Card } from "../../run/models.ts";
import { acts, declare, MODEL } from "../command.ts";
import { bytes, count, table } from "../format.ts";

const list = acts(
  declare("list [WORD...]", "Lists the bundled model and the models in the hub's cache.", "", [["lethe models", "the same"]])
    .alias("ls")
    .usage("[options]"),
  async ({ terminal, ctx }, _flags, ...more) => {
    if (more.length) refuseWord(more[0]!);
    const { listModels, hubFolder } = await import("../../run/models.ts");
    const found = await listModels(ctx);
    if (terminal.json) return terminal.object("models", { cache: hubFolder(), models: found });
    const rows = found.map(({ model, bytes: size, problem }) => [
      model,
      size ? bytes(size) : "",
      problem ? `cannot be used: ${problem}` : "",
    ]);
    terminal.line(table([["MODEL", "SIZE", ""], ...rows], [1]));
    terminal.note(`\nA folder or a .gguf file is a model too. Hub models lie in ${hubFolder()}; lethe models pull org/name fetches one.`);
  },
);

const pull = acts(
  declare(
    "pull <ID>",
    "Downloads a model from the hub. A stopped download continues.",
    "The model goes into the cache that Python's tools use (HF_HOME). HF_TOKEN gives access to gated models.",
    [
      ["lethe models pull HuggingFaceTB/SmolLM2-135M-Instruct", "the newest revision"],
      ["lethe models pull org/name@v1.0", "a branch, tag or commit"],
      ["lethe models pull org/name/model-q8_0.gguf", "one file of a repository"],
    ],
  ),
  async ({ terminal, ctx }, _flags, id) => {
    const { pullModel } = await import("../../run/models.ts");
    const path = await pullModel(id!, ctx);
    if (terminal.json) terminal.object("pull", { model: id, path });
    else terminal.line(path);
  },
);

const show = acts(
  declare(
    "show <MODEL>",
    "Shows a model's architecture, size, memory estimate and id.",
    `${MODEL} Nothing is downloaded and no weight is loaded.`,
    [
      ["lethe models show bundled", "the model in this package"],
      ["lethe models show ./model.gguf --json", "as JSON"],
    ],
  ),
  async ({ terminal, ctx }, _flags, spec) => {
    const { describeModel } = await import("../../run/models.ts");
    const card = await describeModel(spec!, ctx);
    if (terminal.json) terminal.object("model", card);
    else terminal.line(table(rowsOf(card).map(([name, value]) => [name, value])));
  },
);

/** "models" alone lists; a word that is no command of it arrives at the list. */
function refuseWord(word: string): never {
  const words = ["list", "show", "pull"];
  const near = nearest(word, words);
  return fail("models", `there is no command "${word}"`, words.join(", "), near ? `Did you mean lethe models ${near}?` : "");
}

function rowsOf(card: Card): [string, string][] {
  const needs = Object.entries(card.memory).map(
    ([purpose, need]) => `${purpose} ${bytes(need)}${need > card.available.bytes ? " (too much)" : ""}`,
  );
  return [
    ["path", card.path],
    ["architecture", card.architecture],
    ["stored as", `${card.source}, ${card.dtypes.join(" and ")}, ${bytes(card.bytes)}`],
    ["parameters", count(card.parameters)],
    ["shape", `${card.layers} layers of width ${card.width}, ${card.heads} heads over ${card.kvHeads} keys and values`],
    ["vocabulary", count(card.vocabulary)],
    ["context", `${count(card.context)} tokens`],
    ["chat template", card.hasChatTemplate ? "yes" : "no: prompts are plain"],
    ["memory, about", needs.join(", ")],
    ["memory left", `${bytes(card.available.bytes)} by ${card.available.limit}`],
    ["id", card.id],
  ];
}

export const models = declare("models", "Lists, downloads and describes models.", "", [
  ["lethe models", "the models on this machine"],
  ["lethe models show bundled", "one model"],
  ["lethe models pull org/name", "download one"],
])
  .addCommand(list, { isDefault: true })
  .addCommand(show)
  .addCommand(pull);
