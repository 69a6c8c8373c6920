/** The encoder that a caller or an edit names: a sentence encoder's file, or the model's own hidden states. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { z } from "zod";
import { json } from "../base/codec.ts";
import type { Context } from "../base/context.ts";
import { fail } from "../base/fail.ts";
import { keep, peek } from "../base/kept.ts";
import { resolveEncoder } from "../hub/hub.ts";
import { program } from "../onnx/program.ts";
import { trace } from "../tensor/graph.ts";
import { type Encoder, inSteps, MOST, openEncoder, pooled } from "../text/encoder.ts";
import { padded } from "../text/padding.ts";
import { traced } from "./forward.ts";
import { feedsOf, type Model } from "./model.ts";

const WHO = "encoder";
/** A sentence encoder on the hub with the files that are read here. */
const ON_HUB = "sentence-transformers/all-MiniLM-L6-v2";
/** Where an encoder was last seen, by its id. */
const KIND = "encoders";
const FOLDER = json(z.string());

/** The encoder that a caller names by folder or hub id; without a name the model's own hidden states, and a note that says so. */
export async function chosenEncoder(model: Model, spec: string | undefined, ctx: Context): Promise<Encoder> {
  if (spec === undefined || spec === "") {
    ctx.log({
      kind: "note",
      who: WHO,
      text: `no sentence encoder is given: questions are compared by their words and the model's own states; --encoder ${ON_HUB} (or LETHE_ENCODER) compares what they mean, and is downloaded once`,
    });
    return ownEncoder(model);
  }
  const { folder, name } = await resolveEncoder(spec, ctx);
  const encoder = openEncoder(folder, model.sessions, name);
  keep(ctx, KIND, [encoder.id], FOLDER, resolve(folder)); // so that an edit made with it finds it on this machine
  return encoder;
}

/**
 * The encoder that an edit was made with, by its id: the model's own, the one at LETHE_ENCODER, the folder where it was last seen,
 * or the hub's. Refuses one that is not there or holds something else, saying how to name it.
 */
export async function namedEncoder(model: Model, id: string, ctx: Context): Promise<Encoder> {
  const own = OWN.exec(id);
  if (own) return ownEncoder(model, Number(own[1]));
  const [name] = id.split("@") as [string];
  const found: string[] = [];
  for (const folder of [ctx.encoder, peek(ctx, KIND, [id], FOLDER)]) {
    if (!folder || !existsSync(folder)) continue;
    const encoder = openEncoder(folder, model.sessions, name);
    if (encoder.id === id) return encoder;
    found.push(`${folder} holds ${encoder.id}`);
  }
  if (name.includes("/")) {
    const encoder = openEncoder((await resolveEncoder(name, ctx)).folder, model.sessions, name);
    if (encoder.id === id) return encoder;
    found.push(`${name} holds ${encoder.id}`);
  }
  return fail(
    WHO,
    `the edit looks questions up with the sentence encoder ${id}, which is not at hand${found.length ? ` (${found.join("; ")})` : ""}`,
    "the encoder that the edit was made with",
    "Set LETHE_ENCODER to its folder.",
    "unavailable",
  );
}

/** The id of the model's own hidden states, with their layer. */
const OWN = /^own:(\d+)$/;
/** Whether an encoder is only the model's own hidden states, which tell words apart rather than meanings. */
export const isOwn = ({ id }: Encoder): boolean => OWN.test(id);

/** The block behind which a model's own hidden states tell questions apart best, of those that were tried. */
const LAYER = 0;

/**
 * The model's own hidden states behind block `layer`, their mean over the text's tokens. What ends a text stands before it, so that
 * the first token, on which every other rests its attention, is not one of the text's.
 */
export function ownEncoder(model: Model, layer = LAYER): Encoder {
  if (layer >= model.config.layers)
    fail(
      WHO,
      `layer ${layer} of the model's own hidden states`,
      `0 to ${model.config.layers - 1}`,
      "The edit is of another model.",
      "unavailable",
    );
  const graph = trace((t) => {
    const lm = traced(model, t);
    const positions = t.input("positions", "int64", ["B", "T"]);
    const x = lm.embed(t.input("tokens", "int64", ["B", "T"]), positions);
    return { hidden: lm.blocks(x, 0, layer + 1, { positions, real: t.input("real", "bool", ["B", "T"]) }).hidden };
  });
  const { tokenizer } = model;
  const start = tokenizer.bos ?? tokenizer.eos[0] ?? tokenizer.pad;
  const run = program(model.sessions, graph);
  return {
    id: `own:${layer}`,
    embed: (texts, ctx) =>
      inSteps(
        texts.map((text) => [start, ...tokenizer.encode(text, { special: false }).ids.slice(0, MOST)]),
        ctx,
        async (rows) => {
          const { hidden } = await run.run(feedsOf(model, { ...padded(rows, tokenizer.pad, "right") }));
          return pooled(hidden!, rows, 1, "mean");
        },
      ),
  };
}
