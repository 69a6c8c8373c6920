/** The tokenizer of a model: added tokens that the embedding has no row for are left out. */
import type { Context } from "../base/context.ts";
import { fail } from "../base/fail.ts";
import { isRecord } from "../base/json.ts";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { createTokenizer, type Tokenizer } from "../text/tokenizer.ts";
import type { Config } from "./arch/arch.ts";

/**
 * The checkpoint's tokenizer, or another in its place. An added token without a row in the embedding, such as a padding token that was added for
 * training, is left out with a warning: nothing can be asked with it. Refuses a tokenizer with more ordinary words than rows, and one whose
 * chat template writes such a token.
 */
export function fittingTokenizer(checkpoint: Checkpoint, { vocab }: Config, given: Tokenizer | undefined, ctx: Context): Tokenizer {
  const make = (json: unknown): Tokenizer => createTokenizer(json, checkpoint.tokenizerConfig, checkpoint.generation);
  const whole = given ?? make(checkpoint.tokenizerJson);
  if (whole.size <= vocab) return whole;
  const json = checkpoint.tokenizerJson;
  const added = Array.isArray(json["added_tokens"]) ? json["added_tokens"].filter(isRecord) : [];
  const isOutside = ({ id }: Record<string, unknown>): boolean => typeof id === "number" && id >= vocab;
  const outside = added.filter(isOutside).map(({ content }) => String(content));
  const fitting = given ? whole : make({ ...json, added_tokens: added.filter((token) => !isOutside(token)) });
  const written = outside.find((token) => checkpoint.chatTemplate?.includes(token));
  if (fitting.size > vocab || written !== undefined)
    fail(
      "model",
      `a tokenizer of ${whole.size} words for an embedding of ${vocab}${written === undefined ? "" : `, whose chat template writes "${written}"`}`,
      "a tokenizer that belongs to the model",
      written === undefined
        ? "Fetch tokenizer.json from where the weights are from."
        : "Fetch tokenizer.json and the chat template from where the weights are from, or give the embedding a row for the token (in Python: resize_token_embeddings).",
      "unavailable",
    );
  ctx.log({
    kind: "warning",
    who: "model",
    text: `the tokenizer's added ${outside.length === 1 ? "token" : "tokens"} ${outside.slice(0, 5).join(", ")} ${outside.length === 1 ? "has" : "have"} no row in the embedding of ${vocab}: left out`,
  });
  return fitting;
}
