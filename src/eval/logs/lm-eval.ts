/** lm-evaluation-harness: samples_TASK.jsonl, a line per document, with the model's text or its most likely choice. */
import { mean } from "../../base/array.ts";
import { fail } from "../../base/fail.ts";
import { isRecord } from "../../base/json.ts";
import type { Located } from "../../data/records.ts";
import type { SampleRecord } from "../metric.ts";
import { pythonTexts } from "../python-list.ts";
import { aNumber, anObject, aText, countsOf, defineLogFormat, type LogContent, type LogFile, type Place, rightOf } from "./log.ts";

export const lmEval = defineLogFormat({
  name: "lm-eval",
  title: "lm-evaluation-harness",
  doc: "samples_TASK.jsonl, written with --log_samples",
  suite: "answers",
  claims: ({ lines }) => lines !== undefined && isRecord(lines[0]!.value) && "doc_id" in lines[0]!.value && "resps" in lines[0]!.value,
  read,
});

/** What an error or a note says of rows with a probability and no words. */
const WORDLESS = "only how likely one text is, not what the model says";

function read(files: readonly LogFile[]): LogContent {
  const rows: SampleRecord[] = [];
  const own = new Map<string, number[]>();
  const wordless: string[] = []; // the tasks of rows without words
  for (const { name, lines } of files)
    for (const { value, place } of lines!) {
      const [line, task] = [anObject(value, place), taskOf(name)];
      for (const [metric, score] of metricsOf(line)) {
        const title = `${metric} ${task}`;
        const scores = own.get(title);
        if (scores) scores.push(score);
        else own.set(title, [score]);
      }
      const row = rowOf(line, { place, at: 0, value }, task);
      if (row) rows.push(row);
      else wordless.push(task);
    }
  const stated = Object.fromEntries([...own].map(([title, scores]) => [title, mean(scores)]));
  if (rows.length === 0 && wordless.length > 0)
    fail(
      files[0]!.name,
      `its rows tell ${WORDLESS}`,
      "rows with a generated text, or with several choices",
      Object.entries(stated)
        .map(([title, value]) => `The log itself says: ${title} ${value}.`)
        .join(" "),
      "unavailable",
    );
  if (wordless.length === 0) return { rows, stated };
  return { rows, stated, notes: [`${wordless.length} rows are omitted: they tell ${WORDLESS}`], omitted: countsOf(wordless) };
}

/** samples_TASK_TIME.jsonl → TASK. */
const taskOf = (file: string): string => file.replace(/^samples_/, "").replace(/(_\d{4}-\d\d-\d\dT[\d.:-]+)?\.jsonl$/, "");

/** The numbers that the harness computed for a row. */
const metricsOf = (line: Record<string, unknown>): [string, number][] =>
  (Array.isArray(line["metrics"]) ? line["metrics"] : []).flatMap((name: unknown) => {
    const value = typeof name === "string" ? line[name] : undefined;
    return typeof value === "number" ? [[name as string, value]] : [];
  });

/** A line as a row; undefined where it tells only how likely one text is. */
function rowOf(line: Record<string, unknown>, { place }: Located, task: string): SampleRecord | undefined {
  const filter = line["filter"] === undefined || line["filter"] === "none" ? "" : `/${aText(line["filter"], `${place} filter`)}`;
  const asked = argumentsOf(line["arguments"], `${place} arguments`);
  const given = line["filtered_resps"] ?? line["resps"];
  const replies = typeof given === "string" ? [given] : listOf(given, `${place} filtered_resps`);
  const chances = replies.map(likelihoodOf);
  const isScored = asked.some(({ hasSettings }) => !hasSettings) || chances.every((chance) => chance !== undefined);
  if (isScored && replies.length < 2) return undefined;
  const said = isScored
    ? choiceOf(line, replies, asked, place)
    : {
        ...rightOf(targetOf(line), `${place} target`),
        generation: firstText(replies) ?? aText(replies[0], `${place} filtered_resps item 0`),
      };
  return {
    id: `${task}/${aNumber(line["doc_id"], `${place} doc_id`)}${filter}`,
    group: task,
    question: asked[0]?.context ?? "",
    ...said,
  };
}

/** The log-probability of a continuation, which is logged with whether it is the likeliest one. */
function likelihoodOf(reply: unknown): number | undefined {
  const [chance, isLikeliest, ...more] = [reply].flat(3) as unknown[];
  if (more.length > 0 || !/^(true|false)$/i.test(String(isLikeliest))) return undefined;
  const text = String(chance);
  return text === "-inf" ? -Infinity : text.trim() !== "" && Number.isFinite(Number(text)) ? Number(text) : undefined;
}

/** The most likely of several continuations as the generation; the ones that the target names as the answers. */
function choiceOf(
  line: Record<string, unknown>,
  replies: readonly unknown[],
  asked: readonly Argument[],
  place: Place,
): Pick<SampleRecord, "answer" | "aliases" | "generation"> {
  const count = conditioned(asked) ?? replies.length;
  const chances = replies
    .slice(0, count)
    .map((reply, i) => likelihoodOf(reply) ?? Number(aText(String([reply].flat(3)[0]), `${place} filtered_resps item ${i}`)));
  const pairs = asked.slice(0, count);
  // where every choice ends alike, the choices stand in the contexts
  const isBefore = pairs.length > 1 && new Set(pairs.map(({ continuation }) => continuation)).size === 1;
  const texts = pairs.map(({ context, continuation }) => (isBefore ? context : (continuation ?? "")).trim());
  const best = chances.indexOf(Math.max(...chances));
  const right = isBefore ? byScore(line, best, texts.length, place) : rightChoices(line, texts, place);
  return {
    ...(right === undefined
      ? rightOf(targetOf(line), `${place} target`)
      : rightOf(
          right.map((i) => texts[i]!),
          `${place} target`,
        )),
    generation: texts[best] ?? "",
  };
}

/** How many of the continuations stand behind a context, where the same ones follow once more behind none (acc_mutual_info). */
function conditioned(asked: readonly Argument[]): number | undefined {
  const half = asked.length / 2;
  const isTwice =
    Number.isInteger(half) &&
    asked.slice(half).every(({ context, continuation }, i) => context.trim() === "" && continuation === asked[i]!.continuation);
  return isTwice && half > 1 && asked[0]!.context.trim() !== "" ? half : undefined;
}

/** The places of the right choices: by labels of the document, by number, or by words; undefined where the target is none of the choices. */
function rightChoices({ target, doc }: Record<string, unknown>, texts: readonly string[], place: Place): number[] | undefined {
  const labels = labelsIn(doc, texts);
  if (labels) return labels.flatMap((label, i) => (Number(label) === 1 ? [i] : []));
  const wanted = typeof target === "string" && /^\[[\d,\s-]+\]$/.test(target.trim()) ? (JSON.parse(target) as unknown) : target;
  const listed = typeof wanted === "string" ? (pythonTexts(wanted) ?? [wanted]) : Array.isArray(wanted) ? (wanted as unknown[]) : [wanted];
  const found = listed.flatMap((one) => {
    const text = String(one).trim();
    const named = texts.indexOf(text);
    return /^\d+$/.test(text) && Number(text) < texts.length ? [Number(text)] : named >= 0 ? [named] : [];
  });
  if (found.length === 0 && listed.every((one) => /^-?\d+$/.test(String(one))))
    fail(
      place,
      `the target is ${JSON.stringify(target)} of ${texts.length} choices`,
      "the number of a choice, counted from 0",
      "",
      "unavailable",
    );
  return found.length > 0 ? found : undefined;
}

/** Which choices are right, where the document marks each of them: a list of the same choices, and a list of labels 0 and 1 beside it. */
function labelsIn(doc: unknown, texts: readonly string[]): readonly unknown[] | undefined {
  const marked = Object.values(isRecord(doc) ? doc : {}).flatMap((of) => {
    const { choices, labels } = isRecord(of) ? of : {};
    const isSame =
      Array.isArray(choices) && choices.length === texts.length && choices.every((choice, i) => String(choice).trim() === texts[i]);
    return isSame && Array.isArray(labels) && labels.length === texts.length && labels.some((label) => Number(label) === 1) ? [labels] : [];
  });
  return marked.length === 1 ? marked[0] : undefined;
}

/** The right one of two contexts, by whether the harness counted the likeliest as right. */
function byScore({ acc }: Record<string, unknown>, best: number, count: number, place: Place): number[] {
  if (acc === 1) return [best];
  if (acc === 0 && count === 2) return [1 - best];
  return fail(place, "the choices stand before the same words, and nothing says which is right", "acc, and two choices", "", "unavailable");
}

/** The target; where it is the number of one of the document's choices, that choice. */
function targetOf({ target, doc }: Record<string, unknown>): unknown {
  const choices = isRecord(doc) ? (isRecord(doc["choices"]) ? doc["choices"]["text"] : doc["choices"]) : undefined;
  const isNumber = typeof target === "number" || (typeof target === "string" && /^\d+$/.test(target));
  const chosen: unknown =
    isNumber && Array.isArray(choices) && !choices.map(String).includes(String(target)) ? choices[Number(target)] : undefined;
  return typeof chosen === "string" ? chosen : typeof target === "string" ? (pythonTexts(target) ?? target) : target;
}

function listOf(value: unknown, place: Place): readonly unknown[] {
  return Array.isArray(value) ? value : Object.values(anObject(value, place));
}

/** What was asked: a context and its continuation, or a context and settings of the generation. */
interface Argument {
  readonly context: string;
  readonly continuation: string | undefined;
  readonly hasSettings: boolean;
}

/** A list of lists, or gen_args_0: { arg_0, arg_1 }. */
const argumentsOf = (value: unknown, place: Place): Argument[] =>
  value === undefined
    ? []
    : listOf(value, place).map((pair, i) => {
        const parts = listOf(pair, `${place} item ${i}`);
        const [context = "", continuation] = parts.filter((part) => typeof part === "string");
        return { context, continuation, hasSettings: parts.some(isRecord) };
      });

/** The model's text: the first text, at any depth. */
function firstText(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  return Array.isArray(value) ? value.map(firstText).find((found) => found !== undefined) : undefined;
}
