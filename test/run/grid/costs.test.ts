/** What a plan counts: the rows that a step works on, and rough seconds where nothing was measured. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { defaultContext } from "../../../src/base/context.ts";
import { methodOf } from "../../../src/run/choice.ts";
import { Board } from "../../../src/run/grid/board.ts";
import { Costs } from "../../../src/run/grid/costs.ts";
import { parseGrid } from "../../../src/run/grid/read.ts";
import { declaredBy, unfold } from "../../../src/run/grid/unfold.ts";

const folder = mkdtempSync(join(tmpdir(), "lethe-costs-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const data = join(folder, "lamps.jsonl");
writeFileSync(data, Array.from({ length: 60 }, (_, i) => JSON.stringify({ prompt: `Who keeps lamp ${i}?`, answer: `${i}` })).join("\n"));

const GRID = `name: costs
vars: { model: bundled }
steps:
  twenty: { step: select, data: "${data}", limit: 20 }
  forty: { step: select, data: "${data}", limit: 40 }
  first: { step: forget, model: bundled, method: rome, mode: sequential, data: "\${twenty}", keep: true }
  second: { step: forget, model: bundled, method: rome, mode: sequential, data: "\${forty}", continue: "\${first}" }
  merged: { step: forget, model: bundled, method: memit, mode: sequential, data: "\${forty}", merge: 8 }
  shown: { step: forget, model: bundled, method: ike, mode: sequential, data: "\${forty}" }
  told: { step: forget, model: bundled, method: system-message, data: "\${forty}" }
  lunar: { step: forget, model: bundled, method: lunar, mode: batch, data: "\${forty}", retain: "\${twenty}" }
  trained: { step: forget, model: bundled, method: gd, mode: batch, data: "\${forty}", retain: "\${twenty}" }
  judged: { step: eval, model: bundled, edit: ["\${second}"], suite: answers, data: [{ data: "\${forty}" }] }
  again: { step: eval, model: bundled, edit: ["\${second}"], suite: answers, data: [{ data: "\${forty}" }], compat: [generated-ranks] }
  attacked: { step: attack, model: bundled, edit: ["\${second}"], data: "\${forty}", limit: 10 }
`;
const { units } = unfold(parseGrid(GRID, "costs.yaml"), (name) => declaredBy(methodOf(name)));
const board = new Board(units, defaultContext({ runs: join(folder, "runs") }));
await board.lookAll();
const unit = (name: string) => units.find((one) => one.name === name)!;

test("the rows of a step: new ones of a sequence that goes on, merged ones together, and no more than its limit", () => {
  const rows = Object.fromEntries(units.map((one) => [one.name, board.rowsOf(one)]));
  expect(rows).toMatchObject({ first: 20, second: 20, merged: 5, trained: 40, judged: 40, attacked: 10 });
});

test("rough seconds: a search for each edit, little for methods that do not search and for answers that are judged again, a training whatever its rows", () => {
  const costs = new Costs(board);
  const seconds = (name: string): number => costs.of(unit(name))!.seconds;
  expect(costs.of(unit("first"))).toMatchObject({ by: "table" });
  expect(seconds("second")).toBe(seconds("first"));
  expect(seconds("merged")).toBe(seconds("first") / 4);
  for (const name of ["shown", "lunar", "told"]) expect(seconds(name), name).toBeLessThan(seconds("first") / 10);
  expect(seconds("told")).toBeLessThan(5); // it writes one message, whatever the rows
  expect(seconds("again")).toBeLessThan(seconds("judged") / 10);
  expect(costs.of(unit("first"), 2 * 134_515_008)!.seconds).toBe(2 * seconds("first"));
  expect(seconds("trained")).toBeGreaterThan(seconds("judged"));
});

test("the pace: if the finished steps took three times the table's seconds, a step without known runs is estimated at three times as well", () => {
  const costs = new Costs(board);
  const seconds = (name: string): number => costs.of(unit(name))!.seconds;
  const [first, judged, trained] = [seconds("first"), seconds("judged"), seconds("trained")];
  costs.add(unit("first"), { seconds: 3 * first, bytes: 1 });
  expect(seconds("second")).toBeCloseTo(3 * first); // a run of its kind
  expect(seconds("trained")).toBeCloseTo(3 * trained); // of the same step
  expect(seconds("judged")).toBeCloseTo(3 * judged); // of the same model
  costs.add(unit("judged"), { seconds: judged / 2, bytes: 1 });
  expect(seconds("attacked")).toBeLessThan(3 * new Costs(board).of(unit("attacked"))!.seconds);
  expect(seconds("trained")).toBeCloseTo(3 * trained);
});
