/** Opening: edit files and adapter folders side by side, and what is neither. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { floats } from "../../src/base/array.ts";
import { type Context, defaultContext } from "../../src/base/context.ts";
import { applyAll } from "../../src/edit/apply.ts";
import { type Edit, sign } from "../../src/edit/edit.ts";
import { saveEdits } from "../../src/edit/io.ts";
import { saveLora } from "../../src/edit/lora.ts";
import { saveCheckpoint } from "../../src/model/save.ts";
import { open, readEdits } from "../../src/run/open.ts";
import { run } from "../../src/run/run.ts";
import { tinyModel } from "../train/tiny.ts";

const home = mkdtempSync(join(tmpdir(), "lethe-open-"));
const at = (name: string): string => join(home, name);
const said: string[] = [];
const ctx: Context = defaultContext({ runs: at("runs"), log: (event) => void (event.kind === "warning" && said.push(event.text)) });
let edits: readonly [Edit, Edit];

beforeAll(async () => {
  saveCheckpoint(at("model"), tinyModel());
  const { base, close } = await open(at("model"), {}, ctx);
  const edit = (value: number, on: readonly string[]): Edit =>
    sign(
      {
        change: {
          kind: "delta",
          weights: {
            "blocks.0.mlp.out": {
              outer: [floats(new Float32Array(32).fill(value), [32, 1]), floats(new Float32Array(48).fill(0.5), [1, 48])],
            },
          },
        },
      },
      { base: base.id, on, format: "chat", by: { method: "x", params: {}, compat: [], seed: 0, departures: [], requests: [], code: "" } },
    );
  const first = edit(1, []);
  edits = [first, edit(2, [first.id])];
  saveEdits(at("first"), [edits[0]]);
  saveEdits(at("second"), [edits[1]]);
  saveLora(at("adapter"), base, [edits[0]]);
  mkdirSync(at("folder"));
  await close();
});
afterAll(() => rmSync(home, { recursive: true, force: true }));

describe("a PEFT folder", () => {
  test("is an edit where edits are", async () => {
    said.length = 0;
    const [plain, own] = await Promise.all([
      open(at("model"), { edits: [at("first")] }, ctx),
      open(at("model"), { edits: [at("adapter")], format: "plain" }, ctx),
    ]);
    expect([...own.model.weights]).toEqual([...plain.model.weights]);
    expect(own.edits[0]).toMatchObject({ by: { method: "peft" }, format: "plain" });
    expect(said).toEqual([]);
    await Promise.all([plain.close(), own.close()]);
  });

  test("stacks with edit files, and is exported with them", async () => {
    said.length = 0;
    const both = await open(at("model"), { edits: [at("adapter"), at("second")] }, ctx);
    expect([...both.model.weights]).toEqual([...applyAll(both.base, edits).weights]);
    expect(said.join()).toMatch(/was made upon .* and lies upon/);
    for (const format of ["safetensors", "lora"] as const) {
      const dir = at(`as-${format}`);
      await run({ step: "export", model: at("model"), edit: [at("adapter"), at("second")], format }, ctx, { out: dir });
      const again = await open(format === "lora" ? at("model") : dir, { edits: format === "lora" ? [dir] : [] }, ctx);
      const [a, b] = [again, both].map(({ model }) => model.weights.get("blocks.0.mlp.out")!.data as Float32Array);
      expect(Math.max(...a!.map((x, i) => Math.abs(x - b![i]!)))).toBeLessThan(1e-6);
      await again.close();
    }
    await both.close();
  });

  test("is refused before the model is read when its settings are no plain LoRA's", async () => {
    mkdirSync(at("dora"));
    writeFileSync(at("dora/adapter_config.json"), JSON.stringify({ peft_type: "LORA", use_dora: true }));
    await expect(open(at("no-model"), { edits: [at("dora")] }, ctx)).rejects.toThrow(/use_dora: true/);
  });

  test("is no edit file: that is said, as it is of any folder", () => {
    expect(() => readEdits(at("adapter"))).toThrow(
      /a folder with a PEFT adapter, which does not say for which model it is; wanted an edit file/,
    );
    expect(() => readEdits(at("folder"))).toThrow(
      /folder is a folder; wanted an edit file\. A folder with a PEFT adapter has adapter_config\.json/,
    );
    expect(() => readEdits(at("secon"))).toThrow(/Did you mean .*second\?/);
  });
});
