/** TOFU's logs: a file for each of four groups, or one object with all four; each contains maps from row to value. */
import { fail } from "../../base/fail.ts";
import { isRecord, pythonJson } from "../../base/json.ts";
import type { SampleRecord } from "../metric.ts";
import { aNumber, anObject, defineLogFormat, type LogFile, numbers, rowsOf, texts, theOne } from "./log.ts";

/** The group of each file. */
const GROUPS: Readonly<Record<string, string>> = {
  "eval_real_author_wo_options.json": "authors",
  "eval_real_world_wo_options.json": "facts",
  "eval_log.json": "retain",
  "eval_log_forget.json": "forget",
};

/** The field of each map; maps that repeat others (sums, counts, scores) are not read. */
const MAPS: Readonly<Record<string, (value: unknown, place: string) => Partial<SampleRecord>>> = {
  avg_gt_loss: (value, place) => ({ answerLoss: aNumber(value, place) }),
  num_token_gt: (value, place) => ({ answerTokens: aNumber(value, place) }),
  generated_text: texts,
  avg_paraphrased_loss: (value, place) => ({ paraphraseLoss: aNumber(value, place) }),
  average_perturb_loss: (value, place) => ({ wrongLosses: numbers(value, place) }),
  truth_ratio: (value, place) => ({ loggedTruthRatio: aNumber(value, place) }),
};

const isGroup = (value: unknown): boolean => isRecord(value) && "avg_gt_loss" in value;
const isWhole = ({ value }: LogFile): boolean => isRecord(value) && Object.keys(GROUPS).some((name) => isGroup(value[name]));

export const tofu = defineLogFormat({
  name: "tofu",
  title: "TOFU",
  doc: "eval_log_aggregated.json by any name, or a folder with eval_log.json and its three siblings; NaN and Infinity may be unquoted",
  suite: "tofu",
  claims: (file) => isWhole(file) || isGroup(file.value),
  read: (files) => {
    const whole = theOne(files.filter(isWhole));
    if (!whole) return { rows: files.flatMap((file) => rowsOfGroup(groupOf(file.name), anObject(file.value, file.name), file.name)) };
    const parts = Object.entries(anObject(whole.value, whole.name)).filter(([name]) => name in GROUPS);
    return { rows: parts.flatMap(([name, part]) => rowsOfGroup(GROUPS[name]!, part, `${whole.name} ${name}`)) };
  },
  write: (rows) => {
    const parts = Object.entries(GROUPS).map(([name, group]) => [name, mapsOf(rows.filter((row) => row.group === group))] as const);
    return pythonJson(Object.fromEntries(parts.filter(([, maps]) => Object.keys(maps).length > 0)));
  },
});

const groupOf = (name: string): string =>
  GROUPS[name] ??
  fail(name, "the file's name does not say which rows it contains", `one of ${Object.keys(GROUPS).join(", ")}`, "Rename the file.");

/** The rows of one group; refuses a row that is in one map and not in another. */
function rowsOfGroup(group: string, part: unknown, place: string): SampleRecord[] {
  const given = anObject(part, place);
  const maps = Object.keys(MAPS).flatMap((name) => (name in given ? [{ name, rows: rowsOf(given[name], `${place} ${name}`) }] : []));
  const first = maps[0];
  if (!first) fail(place, `it has ${Object.keys(given).join(", ") || "nothing"}`, `some of ${Object.keys(MAPS).join(", ")}`, "");
  for (const { name, rows } of maps) {
    const [more, fewer] = rows.size > first.rows.size ? [rows, first.rows] : [first.rows, rows];
    const lonely = [...more.keys()].find((row) => !fewer.has(row));
    if (lonely !== undefined)
      fail(
        `${place} ${name}`,
        `row "${lonely}" is only in one of ${first.name} and ${name}`,
        "the same rows in every map",
        "The log is incomplete or mixed from two runs: write it again.",
        "unavailable",
      );
  }
  return [...first.rows.keys()].map((row) => ({
    id: `${group}/${row}`,
    group,
    ...Object.assign({}, ...maps.map(({ name, rows }) => MAPS[name]!(rows.get(row), `${place} ${name} row ${row}`))),
  }));
}

/** The maps of one group's rows: the fields that every row has, and sums computed from them. */
function mapsOf(rows: readonly SampleRecord[]): Record<string, Record<string, unknown>> {
  const each: Readonly<Record<string, (row: SampleRecord) => unknown>> = {
    avg_gt_loss: (row) => row.answerLoss,
    gt_loss: (row) => (row.answerLoss !== undefined && row.answerTokens !== undefined ? row.answerLoss * row.answerTokens : undefined),
    num_token_gt: (row) => row.answerTokens,
    generated_text: (row) =>
      row.generation !== undefined && row.answer !== undefined ? [row.question ?? "", row.generation, row.answer] : undefined,
    avg_paraphrased_loss: (row) => row.paraphraseLoss,
    average_perturb_loss: (row) => row.wrongLosses,
    truth_ratio: (row) => row.loggedTruthRatio,
  };
  const maps = Object.entries(each).map(([name, of]) => [name, Object.fromEntries(rows.map((row, i) => [String(i), of(row)]))] as const);
  return Object.fromEntries(maps.filter(([, map]) => rows.length > 0 && Object.values(map).every((value) => value !== undefined)));
}
