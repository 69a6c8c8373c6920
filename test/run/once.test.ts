/** One forgetting enters each room once: its spec is resolved, its requests are read, and its model's weights are hashed once. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, expect, test, vi } from "vitest";
import { defaultContext } from "../../src/base/context.ts";
import type * as checkpoints from "../../src/checkpoint/checkpoint.ts";
import type * as requests from "../../src/run/requests.ts";
import { run } from "../../src/run/run.ts";
import type { Forgotten } from "../../src/run/steps/forget.ts";
import { forgetStep } from "../../src/run/steps/forget.ts";

const counts = vi.hoisted(() => ({ read: 0, hashed: 0 }));
// the real functions, counted
vi.mock("../../src/run/requests.ts", async (original) => {
  const real = await original<typeof requests>();
  return { ...real, readRequests: (...given: Parameters<typeof real.readRequests>) => (counts.read++, real.readRequests(...given)) };
});
vi.mock("../../src/checkpoint/checkpoint.ts", async (original) => {
  const real = await original<typeof checkpoints>();
  return {
    ...real,
    openCheckpoint(path: string) {
      const opened = real.openCheckpoint(path);
      return {
        ...opened,
        hashWeights: () => (counts.hashed++, opened.hashWeights()),
        hashWeightsBreathing: (breathe: Parameters<typeof opened.hashWeightsBreathing>[0]) => (
          counts.hashed++,
          opened.hashWeightsBreathing(breathe)
        ),
      };
    },
  };
});

const folder = mkdtempSync(join(tmpdir(), "lethe-once-test-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
afterEach(() => void vi.restoreAllMocks());

test("lethe forget resolves once", async () => {
  const ctx = defaultContext({ cache: join(folder, "cache"), runs: join(folder, "runs") });
  const data = join(folder, "two.jsonl");
  const rows = ["Norvane", "Veyra"].map((subject) => JSON.stringify({ prompt: `What is the capital of ${subject}?`, subject }));
  writeFileSync(data, rows.join("\n"));
  const resolve = vi.spyOn(forgetStep, "resolve");
  const spec = { step: "forget", model: "bundled", data, method: "ike", say: "No.", set: { k: 0 }, mode: "single" };
  const { record } = await run<Forgotten>(spec, ctx);
  expect(record.result.edits).toHaveLength(2);
  expect(resolve).toHaveBeenCalledTimes(1);
  expect(counts).toEqual({ read: 1, hashed: 1 });
});
