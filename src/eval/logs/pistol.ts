/** PISTOL's eval.json: five groups (or one, after finetuning), each with measured means and a list of texts. */
import { isRecord, pythonJson } from "../../base/json.ts";
import type { SampleRecord } from "../metric.ts";
import { aNumber, anObject, defineLogFormat, rowsOf, texts, theOne } from "./log.ts";

/** The groups as the benchmark spells them, in its order. */
const GROUPS: Readonly<Record<string, string>> = {
  forget: "forget",
  all_retained_edge: "retain",
  retained_indepenent_sales_edge: "independent-sales",
  retained_indepedent_employment_edge: "independent-employment",
  factual_data: "facts",
};
/** Means that cannot be computed from the texts. */
const STATED = ["gt_loss_per_token", "probs", "mrr", "hit_rate"];

const isGroup = (value: unknown): boolean => isRecord(value) && "generated_text" in value && "hit_rate" in value;

export const pistol = defineLogFormat({
  name: "pistol",
  title: "PISTOL",
  doc: 'eval.json with the groups forget, all_retained_edge, …; a group may be "N/A"',
  suite: "pistol",
  claims: ({ value }) => isGroup(value) || (isRecord(value) && Object.keys(GROUPS).some((name) => isGroup(value[name]))),
  read: (files) => {
    const file = theOne(files)!;
    const whole = anObject(file.value, file.name);
    const parts = isGroup(whole) ? [["retain", whole, file.name] as const] : partsOf(whole, file.name);
    return {
      rows: parts.flatMap(([group, part, place]) =>
        [...rowsOf(part["generated_text"], `${place} generated_text`)].map(([row, value]) => ({
          id: `${group}/${row}`,
          group,
          ...texts(value, `${place} generated_text item ${row}`),
        })),
      ),
      stated: Object.fromEntries(
        parts.flatMap(([group, part, place]) =>
          STATED.filter((name) => part[name] !== undefined && part[name] !== "N/A").map((name) => [
            `${name} ${group}`,
            aNumber(part[name], `${place} ${name}`),
          ]),
        ),
      ),
    };
  },
  write: (rows) => {
    const parts = Object.entries(GROUPS).map(([name, group]) => {
      const own = rows.filter((row) => row.group === group);
      return [name, own.length > 0 ? { generated_text: own.map(triple), ...meansOf(own), hit_rate: hitsOf(own) } : "N/A"] as const;
    });
    return pythonJson(Object.fromEntries(parts));
  },
});

function partsOf(whole: Record<string, unknown>, file: string): (readonly [group: string, part: Record<string, unknown>, place: string])[] {
  return Object.entries(GROUPS)
    .filter(([name]) => whole[name] !== undefined && whole[name] !== "N/A")
    .map(([name, group]) => [group, anObject(whole[name], `${file} ${name}`), `${file} ${name}`]);
}

const triple = ({ question, generation, answer }: SampleRecord): string[] => [question ?? "", generation ?? "", answer ?? ""];

/** The mean over rows with the number; the benchmark's "N/A" if there are none. */
function meanOf(rows: readonly SampleRecord[], of: (row: SampleRecord) => number | undefined): number | "N/A" {
  const values = rows.map(of).filter((value) => value !== undefined);
  return values.length > 0 ? values.reduce((a, b) => a + b, 0) / values.length : "N/A";
}

const meansOf = (rows: readonly SampleRecord[]): Record<string, number | "N/A"> => ({
  gt_loss_per_token: meanOf(rows, (row) => row.answerLoss),
  num_token_gt: meanOf(rows, (row) => row.answerTokens),
  probs: meanOf(rows, (row) => row.leadingPeak),
  mrr: meanOf(rows, (row) => meanRank(row, (rank) => 1 / rank)),
});

const hitsOf = (rows: readonly SampleRecord[]): number | "N/A" => meanOf(rows, (row) => meanRank(row, (rank) => Number(rank <= 100)));

const meanRank = ({ answerRanks }: SampleRecord, worth: (rank: number) => number): number | undefined =>
  answerRanks?.length ? answerRanks.reduce((total, rank) => total + worth(rank), 0) / answerRanks.length : undefined;
