/** The step `select`: chooses requests from a file, so that a spec can name known facts, facts to forget and facts to keep. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { breather, type Context } from "../../base/context.ts";
import { fail, nearest } from "../../base/fail.ts";
import { hash } from "../../base/hash.ts";
import { rng } from "../../base/rng.ts";
import { isRecord, readJson, writeAtomic } from "../../base/store.ts";
import { readRecords } from "../../data/records.ts";
import type { ForgetRequest } from "../../data/request.ts";
import { openLog } from "../../eval/open-log.ts";
import { requestsIn } from "../../data/place.ts";
import { beliefOf } from "../beliefs.ts";
import { EVALUATION, RECORD, SAMPLES } from "../eval.ts";
import { given, type Values } from "../fields.ts";
import { contentAt } from "../inputs.ts";
import { nearestOf } from "../likeness.ts";
import type { JudgedNumber } from "../record.ts";
import { selectSpec } from "../specs/select.ts";
import { defineStep } from "../step.ts";
import { wordingId } from "../wording-id.ts";
import { both, firstOfEach, paired, wordingsOf } from "../wordings.ts";

/** The result in the run's folder. */
const REQUESTS = "requests.jsonl";

export interface Selected {
  /** The chosen requests, and the number of requests read. */
  readonly rows: number;
  readonly of: number;
}

type Asked = Values<typeof selectSpec.fields>;

export const selectStep = defineStep(selectSpec, async (values, { ctx, madeBy }) => {
  const { columns, subjects, pair, having, once, others, neighbours, wordings } = values;
  const by = values.by as string | undefined;
  checkAsked(values);
  const first = (await requestsIn(values.data as string, ctx, given({ columns, subjects }))).requests;
  const read = values.also === undefined ? first : both(first, (await requestsIn(values.also as string, ctx)).requests);
  const requests = pair ? paired(read) : read;
  const forms = values.forms === undefined ? undefined : formsIn(values.forms, values.form as Form);
  const seconds = values.together === undefined ? undefined : (await requestsIn(values.together as string, ctx)).requests;
  const listed = requests.filter((request) => having.every((name) => request[name as keyof ForgetRequest]?.length));
  if (listed.length === 0 && requests.length > 0)
    fail(
      "select",
      `none of ${requests.length} requests has ${having.join(" and ")}`,
      "at least one",
      "Take other data, or leave out --having.",
    );
  return {
    identity: {
      requests: hash(requests),
      ...(forms && { forms: hash([...forms]) }),
      ...(seconds && { together: hash(seconds) }),
      by: by === undefined ? null : (madeBy(by) ?? contentAt(by, "select")),
      having: [...having].sort(),
    },
    uses: [],
    work: async ({ folder }) => {
      const known = by === undefined ? listed : judged(listed, by, values);
      const [taken, left] = divided(once ? firstOfEach(known) : known, values);
      const chosen = others ? left : taken;
      if (chosen.length === 0)
        fail("select", `none of ${requests.length} requests is left`, "at least one", "Ask for less: --least, --most, --having, --skip.");
      const rest = others ? taken : left;
      const near = neighbours === undefined ? chosen : await withNeighbours(chosen, rest, neighbours, ctx);
      const asked = wordings ? near.flatMap(wordingsOf) : near;
      const rowOf = new Map(requests.map(({ id }, row) => [id, row]));
      const formed = forms ? asked.map((request) => asForm(request, forms.get(rowOf.get(request.id)!), values)) : asked;
      const made = seconds ? together(formed, seconds, values.answers === "together") : formed;
      writeAtomic(folder.at(REQUESTS), made.map((request) => `${JSON.stringify(request)}\n`).join(""));
      const result: Selected = { rows: made.length, of: requests.length };
      return { result, layout: { file: REQUESTS } };
    },
  };
});

function checkAsked({ by, number, least, most, answers, forms, form, together: seconds }: Asked): void {
  if ((forms === undefined) !== (form === undefined))
    fail(
      "select",
      forms === undefined ? "--form alone" : "--forms alone",
      "both",
      "Name the file with the forms, and which form is asked.",
    );
  if (answers === "together" && seconds === undefined)
    fail("select", "--answers together alone", "--together FILE", "Name the requests that are asked second.");
  const bound = least !== undefined ? "--least" : most !== undefined ? "--most" : undefined;
  if (bound && number === undefined)
    fail("select", `${bound} without a number`, "--number TITLE", "Say which number of the evaluation it is.");
  if (number !== undefined && !bound) fail("select", `--number "${number}" alone`, "--least or --most", "Say which values are wanted.");
  const asks = number !== undefined ? "--number" : answers === "said" || answers === "agreed" ? `--answers ${answers}` : undefined;
  if (asks && by === undefined) fail("select", `${asks} without an evaluation`, "--by FOLDER", "Name what lethe eval -o made.");
  if (by !== undefined && !asks)
    fail("select", "an evaluation of which nothing is asked", "--number, --answers said or --answers agreed", "Or leave out --by.");
}

const logAt = (by: string): string => (existsSync(join(by, SAMPLES)) ? join(by, SAMPLES) : by);

/**
 * The requests whose number in an evaluation lies within the bounds. If requested, their answers are replaced by what the model said, or by
 * what it said in two wordings.
 */
function judged(
  requests: readonly ForgetRequest[],
  by: string,
  { number, least = -Infinity, most = Infinity, answers }: Asked,
): ForgetRequest[] {
  const wanted = number === undefined ? undefined : numberIn(by, number);
  const within =
    wanted === undefined
      ? requests
      : requests.filter(({ id }) => {
          const value =
            wanted.bySample[id] ??
            fail("select", `the evaluation ${by} did not ask ${id}`, "the same requests", "Evaluate the data that you select from.");
          return value >= least && value <= most;
        });
  if (answers !== "said" && answers !== "agreed") return [...within];
  const log = new Map(openLog(logAt(by)).rows.map(({ id, generation }) => [id, generation]));
  const saidTo = (id: string, hint: string): string =>
    log.get(id) ?? fail("select", `the evaluation ${by} has no answer to ${id}`, "the same requests", hint);
  if (answers === "agreed")
    return within.flatMap(
      (request) => beliefOf(request, (i) => saidTo(wordingId(request.id, i), "Evaluate what select --wordings makes of them.")) ?? [],
    );
  return within.flatMap((request) => {
    const answer = saidTo(request.id, "Evaluate the data that you select from.").trim();
    const { aliases: _, ...rest } = request; // they are other names of the answer that is replaced
    return answer === "" ? [] : [{ ...rest, answer }];
  });
}

/** A number of an evaluation by its title. */
function numberIn(by: string, title: string): JudgedNumber {
  const own = join(by, EVALUATION);
  const file = existsSync(own) ? own : join(by, RECORD);
  const record = readJson(file, "select");
  const numbers = isRecord(record) && Array.isArray(record["numbers"]) ? (record["numbers"] as JudgedNumber[]) : [];
  if (numbers.length === 0 || !numbers.every((one) => isRecord(one) && typeof one.title === "string" && isRecord(one.bySample)))
    fail("select", `${file} is no record of an evaluation`, "the folder that lethe eval -o made", "Check the path.", "unavailable");
  const near = nearest(
    title,
    numbers.map((one) => one.title),
  );
  return (
    numbers.find((one) => one.title === title) ??
    fail(
      "select",
      `the evaluation has no number "${title}"`,
      numbers.map((one) => one.title).join(", "),
      near ? `Did you mean "${near}"?` : "",
    )
  );
}

/**
 * `limit` requests after the first `skip` ones, and the others. With a seed they are drawn at random. Both lists keep the original order.
 */
function divided(requests: readonly ForgetRequest[], { seed, skip, limit }: Asked): [taken: ForgetRequest[], left: ForgetRequest[]] {
  const places = [...requests.keys()];
  const order = seed === undefined ? places : rng(seed).split("rows").shuffled(places);
  const taken = new Set(order.slice(skip, limit === undefined ? undefined : skip + limit));
  return [requests.filter((_, i) => taken.has(i)), requests.filter((_, i) => !taken.has(i))];
}

type Form = "yes" | "no" | "negated";
const RIGHT: Readonly<Record<Form, string>> = { yes: "Yes.", no: "No.", negated: "No." };

/** One form of the questions, by row. */
const formsIn = (path: string, form: Form): Map<number, string> =>
  new Map(
    readRecords(path).map(({ value, place }) => {
      const { row, [form]: question } = isRecord(value) ? value : {};
      return Number.isInteger(row) && typeof question === "string" && question.trim() !== ""
        ? [row as number, question]
        : fail(place, JSON.stringify(value), `row, a whole number, and ${form}, a question`, "docs/data.md has an example.");
    }),
  );

/** A request in another form, which is answered with yes or no. */
function asForm(request: ForgetRequest, question: string | undefined, { forms, form }: Asked): ForgetRequest {
  if (question === undefined)
    fail("select", `${forms!} has no form of ${request.id}`, "a line for each chosen row", "Add it, or choose fewer rows with --limit.");
  const { aliases: _, restated: __, ...rest } = request;
  const how = form as Form;
  return { ...rest, id: `${request.id}/${how}`, prompt: question!, answer: RIGHT[how], paraphrases: [], neighbours: [], wrong: [] };
}

/** Each request with another one in one prompt; the answer is that of the first, or of the second. */
function together(requests: readonly ForgetRequest[], seconds: readonly ForgetRequest[], isOfSecond: boolean): ForgetRequest[] {
  if (seconds.length < requests.length)
    fail(
      "select",
      `${seconds.length} requests to be asked second`,
      `${requests.length} or more`,
      "Choose fewer with --limit, or name more with --together.",
    );
  return requests.map(({ id, subject, prompt, answer }, i) => {
    const second = seconds[i]!;
    return {
      id: `${id}+${second.id}`,
      subject,
      prompt: `${prompt} ${second.prompt}`,
      answer: isOfSecond ? second.answer : answer,
      paraphrases: [],
      neighbours: [],
      wrong: [],
    };
  });
}

/** Requests, each with the most similar questions of other requests. The id of such a question begins with the request's id. */
async function withNeighbours(
  requests: readonly ForgetRequest[],
  among: readonly ForgetRequest[],
  count: number,
  ctx: Context,
): Promise<ForgetRequest[]> {
  const told = (done: number): void => ctx.log({ kind: "progress", stage: "neighbours", done, total: requests.length, unit: "requests" });
  const nearest = await nearestOf(requests, among, count, { breathe: breather(ctx, "select"), told });
  return requests.map((request, i) => ({
    ...request,
    neighbours: nearest[i]!.map(({ prompt, answer }, k) => ({ id: `${request.id}/near-${k + 1}`, question: prompt, answer })),
  }));
}
