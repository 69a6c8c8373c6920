/** The demonstration's page: self-contained, honest about what moved, and deaf to markup in answers. */
import { expect, test } from "vitest";
import { demoPage, isGone } from "../../src/report/demo.ts";
import type { DemoRecord } from "../../src/run/record.ts";

const row = (id: string, before: string, after: string, chance: [number, number] = [0.99, 0.98]) => ({
  id,
  question: `Who is ${id}?`,
  answer: before,
  before,
  after,
  chance,
});
const record: DemoRecord = {
  model: "f".repeat(64),
  method: "noise",
  target: "I do not know.",
  seconds: 7.4,
  targetChance: [0.0001, 0.97],
  edit: { id: "0123456789abcdef", path: "lethe-demo/edit", bytes: 5400, changes: ["blocks.1.mlp.out by rank 1"] },
  fact: row("x", "Ilse", "I do not know.", [0.99, 0.0004]),
  rephrased: [row("y", "Ilse", "I do not know.")],
  others: [row("same", "Tom", "Tom"), row("moved", "Ann", '<script>alert("x")</script>')],
  kept: { same: 1, known: 2 },
};

test("one file, nothing fetched, nothing run", () => {
  const page = demoPage(record);
  expect(page).not.toMatch(/<script|src=|href=|@import|url\(/);
  expect(page).toContain("&lt;script&gt;");
  const odd = demoPage({ ...record, target: "a\u001b]0;x\u0007b\u202e\ud800" });
  expect(odd).toContain("a\\u001b]0;x\\u0007b\\u202e\\ud800");
});

test("what moved stands first, and a fact that stayed is not called forgotten", () => {
  const page = demoPage(record);
  expect(page.indexOf("Who is moved?")).toBeLessThan(page.indexOf("Who is same?"));
  expect(page).toContain("One fact forgotten, 1 of 2 others kept");
  expect(page).toContain("&lt; 0.1 %");
  const failed = { ...record, fact: row("x", "Ilse", "Ilse") };
  expect([isGone(record), isGone(failed)]).toEqual([true, false]);
  expect(demoPage(failed)).toContain("The fact was not forgotten");
});
