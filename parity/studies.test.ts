/** The texts of studies/ against the questions that they are made from: subjects are in them, rephrases ask the same and tell nothing. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { registry } from "../src/data/sets/registry.ts";
import { faultsOfRephrase, faultsOfYesNo, linesOf, type Asked, type Rephrase, type YesNo } from "../test/studies/wording.ts";
import { publishedIn } from "../test/studies/published.ts";
import { absent, readJson, shared } from "./shared.ts";

const FACTS = "data/pistol/factual_data.json";
const CONTRACTS = "data/pistol/sample_data_1.json";

/** Details that a rephrase leaves out: the question has the same single answer without them. */
const LESS: Readonly<Record<number, readonly string[]>> = {
  32: ["Irish"],
  154: ["U", "S"],
  155: ["American", "Italian"],
  158: ["Asian"],
  161: ["Sweden", "Norway"],
  166: ["East", "West"],
  193: ["Cold", "War"],
  194: ["British"],
  200: ["June", "1944"],
  205: ["1789"],
};
/** Rephrases that change little but the first words. The table of studies/methods.yaml was made with them. */
const NEAR: readonly number[] = [175];

/** PISTOL writes one of its terms with capitals. */
const TERM = ["Paid", "Sick", "Leave"];

describe.skipIf(absent)("the texts of studies/ (skipped where ../shared is absent)", () => {
  const facts = absent ? [] : readJson<Asked[]>(FACTS);
  const contracts = absent ? [] : readJson<Asked[]>(CONTRACTS);
  const rephrases = linesOf<Rephrase>("facts.jsonl");

  test("rephrases of the facts", () => {
    for (const line of rephrases) {
      const may = { less: LESS[line.row] ?? [], ...(NEAR.includes(line.row) && { most: 1 }) };
      expect(faultsOfRephrase(line, facts[line.row]!, may), line.rephrase).toEqual([]);
    }
  });

  test("an exception is one", () => {
    const faults = (row: number): string[] => faultsOfRephrase(rephrases[row]!, facts[row]!);
    for (const row of NEAR) expect(faults(row)).toContain("hardly differs from the question");
    const found = Object.fromEntries(Object.keys(LESS).map((row) => [row, faults(Number(row))]));
    expect(found).toEqual(Object.fromEntries(Object.entries(LESS).map(([row, less]) => [row, [`leaves out ${less.join(", ")}`]])));
  });

  test("rephrases of the questions on contracts", () => {
    for (const line of linesOf<Rephrase>("contracts.jsonl"))
      expect(faultsOfRephrase(line, contracts[line.row]!, { less: TERM }), line.rephrase).toEqual([]);
  });

  test("no rephrase is a question of its set", () => {
    for (const [name, asked] of [
      ["facts.jsonl", facts],
      ["contracts.jsonl", contracts],
    ] as const) {
      const questions = new Set(asked.map(({ question }) => question));
      expect(linesOf<Rephrase>(name).filter(({ rephrase }) => questions.has(rephrase))).toEqual([]);
    }
  });

  test("questions to be answered yes or no", () => {
    for (const line of linesOf<YesNo>("yes-no.jsonl"))
      expect(faultsOfYesNo(line, facts[line.row]!, rephrases[line.row]!.subject), line.yes).toEqual([]);
  });

  test.each([
    ["factual", FACTS, "facts.jsonl"],
    ["pistol", CONTRACTS, "contracts.jsonl"],
  ] as const)("%s reads with its subjects, and guesses none", (set, path, name) => {
    const lines = linesOf<Rephrase>(name);
    const subjects = fileURLToPath(new URL(`../studies/${name}`, import.meta.url));
    const { requests, guessed } = registry[set].read({ path: shared(path), subjects });
    expect(guessed).toEqual([]);
    expect(requests).toHaveLength(lines.length);
    for (const { row, subject, rephrase } of lines) expect(requests[row]).toMatchObject({ subject, paraphrases: [rephrase] });
  });

  test("a contract's subject is the party that the reader finds", () => {
    const found = registry.pistol.read({ path: shared(CONTRACTS) }).requests.map(({ subject }) => subject);
    expect(linesOf<Rephrase>("contracts.jsonl").map(({ subject }) => subject)).toEqual(found);
  });

  test.each(["tofu_baseline", "gradient_ascent_baseline", "preference_optimization_baseline", "WISE_incorrect", "ROME_incorrect_clamp_1"])(
    "the published figures of %s are those of its file",
    (run) => {
      const [, cells] = readFileSync(shared(`parity/tofu-logs/${run}.csv`), "utf8")
        .trim()
        .split(/\r?\n/);
      const figures = cells!.split(",").slice(0, -2);
      const rows = publishedIn("model-editing-for-unlearning").filter((row) => row.table === "aggr_result.csv" && row.run === run);
      expect(rows.map(({ value }) => value)).toEqual(figures.map((cell) => (cell === "nan" ? null : Number(cell))));
    },
  );
});
