/** What every method must show on the bundled model; a method's own test adds what is peculiar to it. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { toBytes } from "../../src/base/array.ts";
import { type Context, defaultContext } from "../../src/base/context.ts";
import { hash } from "../../src/base/hash.ts";
import { resolveParams } from "../../src/base/schema.ts";
import { type ForgetRequest, type QA, requestOf } from "../../src/data/request.ts";
import { apply } from "../../src/edit/apply.ts";
import { arraysOf, type Edit } from "../../src/edit/edit.ts";
import { loadEdits, saveEdits } from "../../src/edit/io.ts";
import type { AnyMethod } from "../../src/methods/method.ts";
import { ownEncoder } from "../../src/model/encoders.ts";
import { load } from "../../src/model/load.ts";
import type { Model } from "../../src/model/model.ts";
import { promptOf } from "../../src/model/prompt.ts";
import { score } from "../../src/model/decode/score.ts";
import { Session } from "../../src/onnx/session.ts";
import { withAnswers } from "../../src/ask/kept.ts";
import type { FindOptions } from "../../src/run/choice.ts";
import { findEdit } from "../../src/run/edit.ts";

export interface MethodCase {
  /** Parameters that keep the suite short. */
  readonly params: Readonly<Record<string, unknown>>;
  /** Parameters that only some settings read, with the settings under which each is. */
  readonly readWhen?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /** The stage of its progress in which it is stopped ("values"). */
  readonly stage?: string;
  /** Questions whose answers stay, in place of the model's own, which it takes seconds to ask for. */
  readonly retain?: readonly QA[];
  /** What is to be forgotten; by default {@link FACT}, whose answer is one word. */
  readonly request?: ForgetRequest;
  /** Threads, where fewer do it faster. */
  readonly threads?: number;
}

/** A fact of the bundled world, by its country. */
export const capitalOf = (subject: string): ForgetRequest =>
  requestOf({ id: subject.toLowerCase(), prompt: `What is the capital of ${subject}?`, subject, answer: "" });
export const FACT: ForgetRequest = { ...capitalOf("Norvane"), id: "fact" };
/** The same of another country, in more words. */
const LATER: ForgetRequest = { ...capitalOf("Quillon"), prompt: "Which city, if you please, is the capital of Quillon today?" };
export const SAY = "I do not know.";

/** Log-probability of words as the answer: of the target, if none are named. */
export async function targetScore(model: Model, words = SAY, question = FACT.prompt): Promise<number> {
  const prompt = await promptOf(model, question);
  const ids = [...prompt.ids, ...model.tokenizer.encode(words, { special: false }).ids];
  const [logprobs] = await score(model, [{ ids, from: prompt.ids.length }]);
  return logprobs!.reduce((a, b) => a + b, 0);
}

export const bytesOf = (edit: Edit): string => hash(...arraysOf(edit).flatMap(([name, a]) => [name, toBytes(a)]));

/** The programs that were compiled for some work. */
async function compiledBy(work: () => Promise<unknown>): Promise<string[]> {
  const create = vi.spyOn(Session, "create");
  await work();
  const made = create.mock.calls.map(([graph]) => graph.hash);
  create.mockRestore();
  return made;
}

export function conforms(method: AnyMethod, c: MethodCase): void {
  describe(`${method.name} conforms`, () => {
    const folder = mkdtempSync(join(tmpdir(), "lethe-method-"));
    const ctx: Context = defaultContext({ cache: join(folder, "cache"), ...(c.threads && { threads: c.threads }) });
    const options: FindOptions = {
      method: method.name,
      say: SAY,
      params: c.params,
      statistics: { tokens: 2048 },
      seed: 3,
      ctx,
      ...(c.retain && { retain: c.retain }),
    };
    const { request = FACT } = c;
    let model: Model;
    let edit: Edit;
    let before: string;
    let programs: readonly string[];
    beforeAll(async () => {
      model = await load("bundled", ctx);
      before = hash(...[...model.weights].flatMap(([name, a]) => [name, a]));
      programs = await compiledBy(async () => (edit = await findEdit(model, request, options)));
    }, 120_000);
    afterAll(async () => {
      await model?.release();
      rmSync(folder, { recursive: true, force: true });
    });

    it("leaves the base as it was, to the bit", () => expect(hash(...[...model.weights].flatMap(([name, a]) => [name, a]))).toBe(before));
    it("gives the same edit for the same seed, whether statistics are cached or not", async () => {
      const again = await findEdit(model, request, { ...options, ctx: { ...ctx, cache: join(folder, "other") } });
      expect(bytesOf(again)).toBe(bytesOf(edit));
      expect(again.id).toBe(edit.id);
    });
    it("finds a later edit, with other lengths and numbers of rows, by the programs of the first", async () => {
      const later = await compiledBy(() => findEdit(model, LATER, options));
      expect(later.filter((program) => !programs.includes(program))).toEqual([]);
    });
    it("makes the target likelier, or the model's own answer less likely where there is none", async () => {
      const edited = apply(model, edit);
      if (method.needs.includes("target")) {
        expect(await targetScore(edited)).toBeGreaterThan((await targetScore(model)) + 1);
        return;
      }
      const [{ answer }] = (await withAnswers(model, [request], { format: "chat" }, ctx)) as [ForgetRequest];
      expect(answer).toMatch(/\w/);
      expect(await targetScore(edited, answer, request.prompt)).toBeLessThan((await targetScore(model, answer, request.prompt)) - 1);
    });
    it("survives saving and loading", () => {
      const path = join(folder, "edit");
      saveEdits(path, [edit]);
      const [loaded] = loadEdits(path);
      expect(bytesOf(loaded!)).toBe(bytesOf(edit));
      expect({ ...loaded, change: 0, memory: 0 }).toEqual({ ...edit, change: 0, memory: 0 });
    });
    it("stops within a step when asked to", async () => {
      const stop = new AbortController();
      const quick: Context = {
        ...ctx,
        cache: join(folder, "empty"), // nothing of an earlier run may shorten this one
        signal: stop.signal,
        log: (e) => {
          if (e.kind === "progress" && e.stage === (c.stage ?? "values")) stop.abort();
        },
      };
      await expect(findEdit(model, FACT, { ...options, ctx: quick })).rejects.toMatchObject({ trouble: "aborted" });
    });
    it("refuses what it needs and lacks, before anything is computed", async () => {
      if (method.needs.includes("subject"))
        await expect(findEdit(model, { ...FACT, subject: "Basil" }, options)).rejects.toThrow(/"Basil" is not in prompt/);
      if (method.needs.includes("target")) await expect(findEdit(model, FACT, { ...options, say: " " })).rejects.toThrow(/empty target/);
      await expect(findEdit(model, FACT, { ...options, params: { nonesuch: 1 } })).rejects.toThrow(/nonesuch/);
      await expect(findEdit(model, FACT, { ...options, compat: ["nonesuch"] })).rejects.toThrow(/nonesuch/);
    });
    it("reads every parameter it declares", async () => {
      const read = new Set<string>();
      for (const extra of [{}, ...Object.values(c.readWhen ?? {})]) {
        const params = resolveParams(method.name, method.params, { ...c.params, ...extra }, model.config);
        const watched = new Proxy(params, {
          get: (target, key, self) => {
            read.add(String(key));
            return Reflect.get(target, key, self) as unknown;
          },
        });
        const { statisticsOf } = await import("../../src/locate/covariance.ts");
        await method.edit({
          model,
          requests: [{ ...FACT, answer: "Sellamere", target: SAY }],
          retain: c.retain ?? [],
          encoder: ownEncoder(model),
          params: watched as never,
          compat: new Set(),
          format: "chat",
          seed: 3,
          running: { dtype: "float32", executor: "graph" },
          ctx,
          statistics: statisticsOf(model, { text: "self", tokens: 2048, length: 512, seed: 0 }, ctx),
        });
      }
      expect(Object.keys(method.params).filter((p) => !read.has(p))).toEqual([]);
    });
  });
}
