/** A longer sequence that continues a shorter one: the bytes of the long one made at once. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { defaultContext } from "../../src/base/context.ts";
import type { NestedSpec } from "../../src/run/fields.ts";
import { run } from "../../src/run/run.ts";

const folder = mkdtempSync(join(tmpdir(), "lethe-continue-test-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const ctx = defaultContext({ cache: join(folder, "cache"), runs: join(folder, "runs") });

const dataOf = (name: string, subjects: readonly string[]): string => {
  const path = join(folder, name);
  const rows = subjects.map((subject) => JSON.stringify({ id: subject, prompt: `What is the capital of ${subject}?`, subject }));
  writeFileSync(path, rows.join("\n"));
  return path;
};
const [two, four, other] = [
  dataOf("two.jsonl", ["Norvane", "Veyra"]),
  dataOf("four.jsonl", ["Norvane", "Veyra", "Quillon", "Ostrel"]),
  dataOf("other.jsonl", ["Norvane", "Ostrel", "Quillon"]),
];
const SETTINGS: Readonly<Record<string, object>> = {
  ft: { steps: 3 },
  alphaedit: { steps: 3 },
  grace: { steps: 3 },
  hush: { steps: 3, others: 8, polish: 2 },
  wise: { steps: 3 },
  ike: { k: 0 },
};
const sequence = (method: string, data: string, more: object = {}): NestedSpec => ({
  step: "forget",
  model: "bundled",
  data,
  method,
  mode: "sequential",
  say: "I do not know.",
  set: SETTINGS[method],
  maxTokens: 0,
  ...(method === "alphaedit" && { tokens: 512 }),
  ...more,
});
const bytesOf = (path: string): string => readFileSync(join(path, "edit.safetensors")).toString("base64");

test.each(Object.keys(SETTINGS))("%s continues to the bytes of one sequence", { timeout: 120_000 }, async (method) => {
  const whole = await run(sequence(method, four), ctx);
  const short = sequence(method, two, { keep: true });
  const going: string[] = [];
  const heard = { ...ctx, log: (event: { readonly kind: string }) => void (event.kind === "note" && going.push(JSON.stringify(event))) };
  const long = await run(sequence(method, four, { continue: short }), heard as typeof ctx);
  expect(going.join()).toContain("going on after 2 finished requests");
  expect(bytesOf(long.path)).toBe(bytesOf(whole.path));
  expect(long.record.id).not.toBe(whole.record.id);
});

test("what was kept lies beside the edit, and stays as it was", { timeout: 60_000 }, async () => {
  const out = join(folder, "short.edit");
  const { path } = await run(sequence("ft", two, { keep: true }), ctx, { out });
  const steps = readFileSync(join(path, "steps", "steps.jsonl"), "utf8");
  await run(sequence("ft", four, { continue: `${out}.steps` }), ctx);
  expect(readFileSync(join(path, "steps", "steps.jsonl"), "utf8")).toBe(steps);
  expect(existsSync(join(path, "work"))).toBe(false);
});

test("another sequence is refused", { timeout: 60_000 }, async () => {
  const short = sequence("ft", two, { keep: true });
  const { path } = await run(short, ctx);
  const going = join(path, "steps");
  await expect(run(sequence("ft", other, { continue: short }), ctx)).rejects.toThrow(
    /with 2 finished requests, which are not the first ones here/,
  );
  await expect(run(sequence("ft", four, { continue: going, set: { steps: 4 } }), ctx)).rejects.toThrow(/made with other settings/);
  await expect(run(sequence("ft", four, { continue: folder }), ctx)).rejects.toThrow(/no finished requests in/);
  await expect(run(sequence("ft", four, { continue: going, mode: "single" }), ctx)).rejects.toThrow(/--continue in the mode single/);
});
