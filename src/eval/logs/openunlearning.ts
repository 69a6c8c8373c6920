/** OpenUnlearning's TOFU_EVAL.json and TOFU_SUMMARY.json: metrics with a value per row, or only their values. */
import { fail } from "../../base/fail.ts";
import { isRecord, pythonJson } from "../../base/json.ts";
import type { SampleRecord } from "../metric.ts";
import {
  aNumber,
  anObject,
  aText,
  countsOf,
  defineLogFormat,
  type LogFile,
  numberOrMean,
  numbers,
  rightOf,
  rowsOf,
  theOne,
} from "./log.ts";

/** Its prefixes as our groups. */
const GROUPS: Readonly<Record<string, string>> = { forget: "forget", retain: "retain", ra: "authors", wf: "facts" };

/** A question, its right answers and what the model said. */
const said = (value: Record<string, unknown>, place: string): Partial<SampleRecord> => ({
  question: aText(value["input"], `${place} input`),
  ...rightOf(value["ground_truth"], `${place} ground_truth`),
  generation: aText(value["generation"], `${place} generation`),
});

/** Metrics whose rows are read, by name after the prefix: the fields in a row's value. */
const READ: Readonly<Record<string, (value: Record<string, unknown>, place: string) => Partial<SampleRecord>>> = {
  Q_A_Prob: (value, place) => ({ answerLoss: numberOrMean(value["avg_loss"], `${place} avg_loss`) }),
  Q_A_PARA_Prob: (value, place) => ({ paraphraseLoss: numberOrMean(value["avg_loss"], `${place} avg_loss`) }),
  Q_A_PERT_Prob: (value, place) => ({ wrongLosses: numbers(value["avg_loss"], `${place} avg_loss`) }),
  Q_A_ROUGE: said,
  knowmem_ROUGE: said, // MUSE
  truth_ratio: (value, place) => ({ loggedTruthRatio: aNumber(value["score"], `${place} score`) }),
};

const KNOWN = [
  "forget_quality",
  "model_utility",
  "forget_truth_ratio",
  "privleak",
  "extraction_strength",
  "forget_Q_A_Prob",
  "forget_Q_A_ROUGE",
];
const isEval = ({ value }: LogFile): boolean =>
  isRecord(value) && Object.values(value).some((metric) => isRecord(metric) && "agg_value" in metric);
const isSummary = ({ value }: LogFile): boolean =>
  isRecord(value) && KNOWN.some((name) => name in value) && Object.values(value).every((of) => of === null || typeof of === "number");

export const openunlearning = defineLogFormat({
  name: "openunlearning",
  title: "OpenUnlearning",
  doc: "TOFU_EVAL.json or MUSE_EVAL.json, or a folder with it and its summary",
  suite: "tofu",
  claims: (file) => isEval(file) || isSummary(file),
  read: (files) => {
    const full = theOne(files.filter(isEval));
    if (!full)
      fail(
        files[0]!.name,
        "it is a summary without rows",
        "TOFU_EVAL.json",
        "Name the file of the same run that has value_by_index.",
        "unavailable",
      );
    const metrics = anObject(full.value, full.name);
    const skipped = new Set<string>();
    const rows = Object.entries(GROUPS).flatMap(([prefix, group]) => rowsOfGroup(metrics, prefix, group, full.name, skipped));
    return {
      rows: rows.filter(({ id }) => !skipped.has(id)),
      notes: skipped.size > 0 ? [`${skipped.size} rows without a value are omitted; the first is "${[...skipped][0]}"`] : [],
      omitted: countsOf([...skipped].map((id) => id.split("/")[0]!)),
      stated: statedIn(metrics, full.name),
    };
  },
  write: (rows) =>
    pythonJson(
      Object.fromEntries(
        Object.entries(GROUPS).flatMap(([prefix, group]) =>
          metricsOf(
            prefix,
            rows.filter((row) => row.group === group),
          ),
        ),
      ),
    ),
});

/** One group's rows, combined from the metrics that contain them; a row whose value is null is added to `skipped`. */
function rowsOfGroup(metrics: Record<string, unknown>, prefix: string, group: string, file: string, skipped: Set<string>): SampleRecord[] {
  const found = new Map<string, SampleRecord>();
  for (const [suffix, fieldsOf] of Object.entries(READ)) {
    const name = suffix === "truth_ratio" && prefix !== "forget" ? `${prefix}_Truth_Ratio` : `${prefix}_${suffix}`;
    const metric = metrics[name];
    if (!isRecord(metric) || metric["value_by_index"] === undefined || metric["value_by_index"] === null) continue;
    for (const [row, value] of rowsOf(metric["value_by_index"], `${file} ${name} value_by_index`)) {
      const id = `${group}/${row}`;
      const place = `${file} ${name} value_by_index ${row}`;
      const given = value === null ? null : anObject(value, place);
      if (given === null || Object.values(given).some((of) => of === null)) skipped.add(id);
      else found.set(id, { ...(found.get(id) ?? { id, group }), ...fieldsOf(given, place) });
    }
  }
  // authors and facts have no paraphrase, so the answer is used
  return [...found.values()].map((row) =>
    row.paraphraseLoss === undefined && row.answerLoss !== undefined && (group === "authors" || group === "facts")
      ? { ...row, paraphraseLoss: row.answerLoss }
      : row,
  );
}

/** Values of metrics whose rows are not read. */
function statedIn(metrics: Record<string, unknown>, file: string): Record<string, number> {
  const isRead = (name: string): boolean =>
    Object.keys(GROUPS).some((prefix) => Object.keys(READ).some((suffix) => name === `${prefix}_${suffix}`));
  return Object.fromEntries(
    Object.entries(metrics).flatMap(([name, metric]) => {
      const value = isRecord(metric) ? metric["agg_value"] : undefined;
      return value === undefined || value === null || isRead(name) ? [] : [[name, aNumber(value, `${file} ${name} agg_value`)] as const];
    }),
  );
}

/** The metrics of one group for which every row has the fields. */
function metricsOf(prefix: string, rows: readonly SampleRecord[]): [string, unknown][] {
  const loss = (value: number | undefined): unknown => (value === undefined ? undefined : { prob: Math.exp(-value), avg_loss: value });
  const each: Readonly<Record<string, (row: SampleRecord) => unknown>> = {
    Q_A_Prob: (row) => loss(row.answerLoss),
    Q_A_PARA_Prob: (row) => loss(row.paraphraseLoss),
    Q_A_PERT_Prob: ({ wrongLosses }) => wrongLosses && { prob: wrongLosses.map((of) => Math.exp(-of)), avg_loss: wrongLosses },
    Q_A_ROUGE: (row) =>
      row.generation === undefined ? undefined : { input: row.question ?? "", ground_truth: row.answer ?? "", generation: row.generation },
  };
  return Object.entries(each).flatMap(([suffix, of]) => {
    const values = rows.map((row, i) => [String(i), of(row)] as const);
    const isWhole = values.length > 0 && values.every(([, value]) => value !== undefined);
    return isWhole ? [[`${prefix}_${suffix}`, { agg_value: null, value_by_index: Object.fromEntries(values) }] as [string, unknown]] : [];
  });
}
