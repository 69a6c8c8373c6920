/** What may be concluded: each observation by the orders of all grids, under each protocol, in Markdown, in HTML and in a page. */
import { describe, expect, test } from "vitest";
import { conclusionsMarkdown, conclusionsOf, conclusionsPage } from "../../src/report/conclusions.ts";
import { reportPage } from "../../src/report/html.ts";
import { reportMarkdown } from "../../src/report/markdown.ts";
import type { GridRecord, Verdict } from "../../src/run/grid/record.ts";
import { RECORD, TABLE } from "./records.ts";

const order = (verdict: Verdict["verdict"], over: Partial<Verdict> = {}): Verdict => ({
  column: "gone",
  a: "GA",
  b: "NPO",
  protocol: "corrected",
  shows: "Ob1",
  verdict,
  ...over,
});
const grid = (name: string, verdicts: readonly Verdict[]): GridRecord => ({
  ...RECORD,
  name,
  observations: { Ob1: "Some methods forget <more>.", Ob2: "Others keep more." },
  tables: [{ ...TABLE, verdicts }],
});
const ruling = (verdicts: readonly Verdict[], more: readonly Verdict[] = []) =>
  conclusionsOf([grid("one", verdicts), grid("two", more)])[0]!.rulings.map(({ verdict }) => verdict);

describe("an observation", () => {
  test("agrees if all of its orders agree, in whatever grid they are", () => {
    expect(ruling([order("agreement")], [order("agreement")])).toEqual(["agreement", "cannot tell"]);
    expect(ruling([order("agreement")], [order("cannot tell")])).toEqual(["cannot tell", "cannot tell"]);
  });

  test("contradicts if one order contradicts, whatever the others say", () => {
    expect(ruling([order("agreement"), order("cannot tell")], [order("contradiction")])).toEqual(["contradiction", "cannot tell"]);
  });

  test("has a verdict for each protocol; orders of another observation, and of none, do not count", () => {
    const published = order("contradiction", { protocol: "published" });
    expect(ruling([order("agreement"), published, order("contradiction", { shows: "Ob2" })])).toEqual(["agreement", "contradiction"]);
    const { shows: _, ...plain } = order("contradiction");
    expect(ruling([order("agreement"), plain])).toEqual(["agreement", "cannot tell"]);
  });
});

const RECORDS = [
  grid("one", [order("agreement", { theirs: [0.9, 0.7], ours: [0.95, 0.6], difference: 0.35 }), order("cannot tell", { is: "lower" })]),
  grid("two", [order("contradiction", { protocol: "published", reason: "so it is" })]),
];

test("the text: what the paper says, each verdict with its orders, and the place of their rows", () => {
  const text = conclusionsMarkdown(RECORDS);
  expect(text).toContain(`**Ob1.** Some methods forget <more>.

- Under the corrected protocol: cannot tell (of 2 orders 1 agrees, 1 cannot be told).
  - one, table main: gone, GA and NPO: agreement (paper 90.0 % and 70.0 %; ours 95.0 % and 60.0 %; difference 35.0 %).
  - one, table main: gone, GA and NPO: cannot tell (paper: the first is lower).
- Under the published protocol: contradiction (of 1 order 1 contradicts).
  - two, table main: gone, GA and NPO: contradiction (so it is).

**Ob2.** Others keep more.

- Under the corrected protocol: cannot tell (no row shows it).
- Under the published protocol: cannot tell (no row shows it).`);
  expect(conclusionsMarkdown([RECORD])).toBe("");
});

test("a report begins with them; a report without observations has no such part", () => {
  expect(reportMarkdown(RECORDS, () => "")).toMatch(/^# What may be concluded\n\nAn observation is[\s\S]*\n\n# one\n/);
  expect(reportMarkdown(RECORDS, () => "")).toContain("- Ob1: gone, GA and NPO: agreement");
  const page = reportPage(RECORDS, () => ({ svg: "", width: 1 }));
  expect(page).toMatch(/<a href="#conclusions">What may be concluded<\/a>[\s\S]*<h2 id="conclusions">/);
  expect(page).toContain("<strong>Ob1.</strong> Some methods forget &lt;more&gt;.");
  expect(page).toContain("<li>Under the published protocol: contradiction (of 1 order 1 contradicts).<ul");
  expect(reportPage([RECORD], () => ({ svg: "", width: 1 }))).not.toContain("conclusions");
});

test("a page has the models, how much was run, and the code of all grids once", () => {
  const text = conclusionsPage(RECORDS);
  expect(text).toMatch(/^Models: models\/small\.\n\nAn observation is/);
  expect(text).toContain("- `one`: 3 of 4 steps are done.\n- `two`: 3 of 4 steps are done.");
  expect(text.match(/2 cores of Some CPU/g)).toHaveLength(1);
  expect(text.match(/Code: eval `0123456789ab`, forget `[0-9a-f]{12}` \(of 2\)\./g)).toHaveLength(1);
});
