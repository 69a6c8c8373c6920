/** lm-evaluation-harness: samples_TASK.jsonl, a line per document, with the model's text or its most likely choice. */
import { isRecord } from "../../base/json.ts";
import type { Located } from "../../data/records.ts";
import type { SampleRecord } from "../metric.ts";
import { aNumber, anObject, aText, defineLogFormat, type Place } from "./log.ts";

export const lmEval = defineLogFormat({
  name: "lm-eval",
  title: "lm-evaluation-harness",
  doc: "samples_TASK.jsonl, written with --log_samples",
  suite: "answers",
  claims: ({ lines }) => lines !== undefined && isRecord(lines[0]!.value) && "doc_id" in lines[0]!.value && "resps" in lines[0]!.value,
  read: (files) => ({ rows: files.flatMap(({ name, lines }) => lines!.map((line) => rowOf(line, taskOf(name)))) }),
});

/** samples_TASK_TIME.jsonl → TASK. */
const taskOf = (file: string): string => file.replace(/^samples_/, "").replace(/(_\d{4}-\d\d-\d\dT[\d.:-]+)?\.jsonl$/, "");

function rowOf({ value, place }: Located, task: string): SampleRecord {
  const line = anObject(value, place);
  const filter = line["filter"] === undefined || line["filter"] === "none" ? "" : `/${aText(line["filter"], `${place} filter`)}`;
  const asked = argumentsOf(line["arguments"], `${place} arguments`);
  const replies = listOf(line["filtered_resps"] ?? line["resps"], `${place} filtered_resps`);
  const chosen = replies.every((reply) => Array.isArray(reply)) && replies.length > 1 ? choiceOf(line, replies, asked, place) : undefined;
  const first = firstText(replies);
  return {
    id: `${task}/${aNumber(line["doc_id"], `${place} doc_id`)}${filter}`,
    group: task,
    question: asked[0]?.[0] ?? "",
    ...(chosen ?? {
      answer: plain(line["target"], `${place} target`),
      generation: first ?? aText(replies[0], `${place} filtered_resps item 0`),
    }),
  };
}

/** The most likely of several continuations as the generation; the one with the target's index as the answer. */
function choiceOf(
  line: Record<string, unknown>,
  replies: readonly unknown[],
  asked: readonly (readonly string[])[],
  place: Place,
): { answer: string; generation: string } {
  const chances = replies.map((reply, i) => Number(aText(String((reply as unknown[]).flat()[0]), `${place} filtered_resps item ${i}`)));
  const texts = asked.map((pair) => pair[1] ?? "");
  const target = line["target"];
  const right = typeof target === "number" ? texts[target] : /^\d+$/.test(String(target)) ? texts[Number(target)] : undefined;
  return {
    answer: (right ?? plain(target, `${place} target`)).trim(),
    generation: (texts[chances.indexOf(Math.max(...chances))] ?? "").trim(),
  };
}

function listOf(value: unknown, place: Place): readonly unknown[] {
  return Array.isArray(value) ? value : Object.values(anObject(value, place));
}

/** Pairs of context and continuation: a list of lists, or gen_args_0: { arg_0, arg_1 }. */
const argumentsOf = (value: unknown, place: Place): string[][] =>
  value === undefined
    ? []
    : listOf(value, place).map((pair, i) => listOf(pair, `${place} item ${i}`).flatMap((part) => (typeof part === "string" ? [part] : [])));

/** The model's text: the first text, at any depth. */
function firstText(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  return Array.isArray(value) ? value.map(firstText).find((found) => found !== undefined) : undefined;
}

/** A target as text: it may be a text, a number, or a list of right answers. */
function plain(value: unknown, place: Place): string {
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  return aText(Array.isArray(value) ? value[0] : value, place);
}
