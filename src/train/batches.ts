/** Training rows as token ids with labels, and the seeded order of batches. */
import { fail } from "../base/fail.ts";
import { rng } from "../base/rng.ts";
import { type Message, renderChat } from "../text/chat.ts";
import { checkContext, type Model } from "../model/model.ts";
import { endOf } from "../model/prompt.ts";
import { targetTokens } from "../text/spans.ts";

/** A row of training data: a conversation for the chat template, a prompt with its answer, or plain text. */
export type TrainingRow =
  | { readonly id: string; readonly kind: "pair"; readonly prompt: string; readonly answer: string }
  | { readonly id: string; readonly kind: "chat"; readonly messages: readonly Message[] }
  | { readonly id: string; readonly kind: "text"; readonly text: string };

/** A row with the labels of the loss. */
export interface LabelledRow {
  readonly id: string;
  readonly ids: readonly number[];
  /** Positions of `ids` whose tokens are labels, ascending; never 0. */
  readonly labels: readonly number[];
}

/** Which tokens of a conversation are labels: the assistant's text with the end of each turn, or all tokens. */
export type Labels = "answers" | "every token";

/** A row's ids and labels. In plain text all tokens and the end of text are labels. Fails, naming the row, if it is longer than the model's context or has no label. */
export function labelled(model: Model, row: TrainingRow, labels: Labels = "answers"): LabelledRow {
  const { ids, learnt } = markedOf(model, row, labels);
  checkContext(model, "train", `row "${row.id}"`, ids.length);
  const strange = ids.find((id) => id >= model.config.vocab);
  if (strange !== undefined)
    fail(
      "train",
      `token ${strange} in row "${row.id}" of a model with ${model.config.vocab} tokens`,
      "this model's tokenizer",
      "Put the model's own tokenizer.json into the folder of its weights.",
    );
  const at = ids.flatMap((_, i) => (i > 0 && learnt(i) ? [i] : []));
  if (at.length === 0) fail("train", `row "${row.id}" has no label`, "an answer or a text", "Remove it.");
  return { id: row.id, ids, labels: at };
}

interface Marked {
  readonly ids: readonly number[];
  readonly learnt: (i: number) => boolean;
}

function markedOf(model: Model, row: TrainingRow, labels: Labels): Marked {
  if (row.kind === "text") return plainRow(model, row.text);
  if (row.kind === "chat") return chatRow(model, row.id, row.messages, labels);
  const { ids, first } = targetTokens((text) => model.tokenizer.encode(text), row.prompt, row.answer);
  return { ids: [...ids, ...endOf(model, { format: "plain" })], learnt: (i) => labels === "every token" || i >= first };
}

/** The tokenizer's ids, then the end of text. */
function plainRow(model: Model, text: string): Marked {
  const { ids } = model.tokenizer.encode(text);
  return { ids: [...ids, ...endOf(model, { format: "plain" })], learnt: () => true };
}

/** A conversation in the template; an answer goes from the start to the end of the assistant's turn. */
function chatRow(model: Model, id: string, messages: readonly Message[], labels: Labels): Marked {
  const { tokenizer, chatTemplate } = model;
  const template =
    chatTemplate ??
    fail(
      "train",
      `row "${id}" is a conversation and the model has no chat template`,
      "plain text",
      "Add chat_template.jinja to the model's folder.",
    );
  const render = (count: number, addGenerationPrompt: boolean): string =>
    renderChat(template, messages.slice(0, count), { ...tokenizer.named, addGenerationPrompt });
  const text = render(messages.length, false);
  const { ids, offsets } = tokenizer.encode(text, { special: false });
  if (labels === "every token") return { ids, learnt: () => true };
  const spans = messages.flatMap(({ role }, i) => {
    if (role !== "assistant") return [];
    const [before, after] = [render(i, true), render(i + 1, false).trimEnd()];
    if (!text.startsWith(before) || !text.startsWith(after))
      fail(
        "train",
        `the chat template changes the text before message ${i + 1} of row "${id}"`,
        "a template that only appends turns",
        "Train on plain text, or change the template.",
      );
    return [[before.length, after.length] as const];
  });
  return {
    ids,
    learnt: (i) => spans.some(([from, to]) => offsets[i]![0] >= from && offsets[i]![1] <= to && offsets[i]![1] > offsets[i]![0]),
  };
}

export interface Order {
  readonly seed: string | number;
  /** Rows per step. */
  readonly batch: number;
  /** So many batches are drawn together and divided by length, which reduces padding; 1: rows keep the drawn order. */
  readonly together: number;
}

/** The rows of every step: a function of seed and step only, so that a run can start at any step. Every epoch has a new order; its last batch may be smaller. */
export function batchesOf<Row>(
  rows: readonly Row[],
  lengthOf: (row: Row) => number,
  { seed, batch, together }: Order,
): { perEpoch: number; at(step: number): readonly Row[] } {
  const perEpoch = Math.ceil(rows.length / batch);
  let known: { epoch: number; batches: readonly (readonly Row[])[] } | undefined;
  const draw = (epoch: number): readonly (readonly Row[])[] => {
    const chance = rng(seed).split("order").split(epoch);
    const drawn = chance.shuffled(rows);
    if (together <= 1) return cut(drawn, batch);
    const windows = cut(drawn, batch * together).map((window) =>
      cut(
        [...window].sort((a, b) => lengthOf(a) - lengthOf(b)),
        batch,
      ),
    );
    return windows.flatMap((window, i) => chance.split(i).shuffled(window));
  };
  return {
    perEpoch,
    at(step) {
      const epoch = Math.floor(step / perEpoch);
      if (known?.epoch !== epoch) known = { epoch, batches: draw(epoch) };
      return known.batches[step % perEpoch]!;
    },
  };
}

const cut = <T>(items: readonly T[], size: number): T[][] =>
  Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size));
