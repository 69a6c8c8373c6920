/** Plugins of values that are here already: what each shelf finds, and what is refused. */
import { describe, expect, test } from "vitest";
import { defaultContext } from "../../src/base/context.ts";
import { judge } from "../../src/eval/judge.ts";
import { defineMetric, shareOf } from "../../src/eval/metric.ts";
import { registry as metrics } from "../../src/eval/metrics/registry.ts";
import { llama } from "../../src/model/arch/llama.ts";
import { defineArch } from "../../src/model/arch/arch.ts";
import { identifyConfig } from "../../src/model/load.ts";
import { catalog } from "../../src/run/catalog.ts";
import { methodOf } from "../../src/run/choice.ts";
import { withPlugin } from "../../src/run/plugins.ts";
import { defineTarget } from "../../src/targets/target.ts";

const ctx = defaultContext();
const about = { id: "1", name: "mine.mjs" };
const mine = defineTarget({ name: "mine", doc: "what it is", say: () => Promise.resolve("words") });
const said = (name: string, after: readonly string[] = []) =>
  defineMetric({
    name,
    doc: "share of rows that say something",
    better: "higher",
    caveat: "It says nothing of what is said.",
    reads: ["generation"],
    after,
    score: ({ rows }) => shareOf(name, rows, ({ generation }) => generation !== ""),
  });

describe("what plugins bring", () => {
  test("is found beside what is built in, by the context alone", () => {
    const plugged = withPlugin(ctx, [mine, "no entry"], about);
    expect(plugged.plugins).toEqual([{ id: "1", name: "mine.mjs", entries: { target: { mine } } }]);
    expect(catalog(plugged).targets.map(({ name }) => name)).toContain("mine");
    expect(catalog(ctx).targets.map(({ name }) => name)).not.toContain("mine");
  });

  test("a metric is judged by, after those before it", () => {
    const plugged = withPlugin(ctx, [said("said"), said("said-again", ["said"])], about);
    const rows = [{ id: "a", generation: "Hm." }];
    const columns = [{ title: "Again", metric: "said-again" }];
    expect(judge(rows, columns, { ctx: plugged })).toMatchObject([{ score: { value: 1 } }]);
  });

  test("an architecture is claimed by its model_type", () => {
    const config = {
      model_type: "mine",
      hidden_size: 8,
      num_attention_heads: 2,
      num_hidden_layers: 1,
      intermediate_size: 16,
      vocab_size: 9,
    };
    const own = defineArch({ ...llama, name: "mine", claims: ["mine"], gguf: { ...llama.gguf!, architecture: "mine" } });
    expect(() => identifyConfig(config, { path: "p" }, ctx)).toThrow(/architecture "mine"; wanted one of .*llama, mistral/);
    expect(identifyConfig(config, { path: "p" }, withPlugin(ctx, [own], about)).arch).toEqual(own);
  });
});

describe("what is refused", () => {
  const check = (values: readonly unknown[], complaint: RegExp, of = ctx): void => {
    expect(() => withPlugin(of, values, about)).toThrow(complaint);
  };
  test("a name that is taken: by what is built in, by another plugin, and twice in one", () => {
    const twin = defineTarget({ ...mine });
    check([defineTarget({ ...mine, name: "refusal" })], /mine\.mjs brings the target "refusal", and there is one/);
    check([twin], /"mine", and there is one/, withPlugin(ctx, [mine], about));
    check([mine, twin], /"mine", and there is one/);
  });

  test("nothing, but not what is there already", () => {
    check([1, {}, "x"], /mine\.mjs exports nothing that makes a plugin/);
    expect(withPlugin(ctx, [methodOf("ft")], about)).toBe(ctx);
    const once = withPlugin(ctx, [mine], about);
    expect(withPlugin(once, [mine], { ...about, id: "2" })).toBe(once);
  });

  test("a model type that another architecture claims", () => {
    check([defineArch({ ...llama, name: "mine" })], /"mine" claims "llama", and so does "llama"/);
    check([defineArch({ ...llama, name: "mine", claims: ["mine"] })], /"mine" claims "llama"/); // GGUF's word
  });

  test("a metric that comes after one that is not there, or after itself", () => {
    check([said("said", ["nonesuch"])], /"said" comes after "nonesuch"; wanted one of /);
    check([said("a", ["b"]), said("b", ["a@forget"])], /"a" comes after itself \(a, b, a\)/);
    expect(withPlugin(ctx, [said("said", [Object.keys(metrics)[0]!])], about).plugins).toHaveLength(1);
  });
});
