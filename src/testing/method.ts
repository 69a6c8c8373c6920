/** What every method must show on the bundled model. */
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { type Context, defaultContext } from "../base/context.ts";
import { LetheError } from "../base/fail.ts";
import { resolveParams } from "../base/schema.ts";
import { scratch } from "../base/store.ts";
import type { ForgetRequest, QA } from "../data/request.ts";
import { apply } from "../edit/apply.ts";
import type { Edit } from "../edit/edit.ts";
import { loadEdits, saveEdits } from "../edit/io.ts";
import { statisticsOf } from "../locate/covariance.ts";
import type { AnyMethod, Method } from "../methods/method.ts";
import { ownEncoder } from "../model/encoders.ts";
import { load } from "../model/load.ts";
import type { Model } from "../model/model.ts";
import { withAnswers } from "../ask/kept.ts";
import type { FindOptions } from "../run/choice.ts";
import { findEdit } from "../run/edit.ts";
import { withPlugin } from "../run/plugins.ts";
import { Graph } from "../tensor/graph.ts";
import { bytesOf, capitalOf, FACT, likelihoodOf, SAY, weightsOf } from "./facts.ts";
import { once, type Runner, suite, type Test } from "./runner.ts";

export interface MethodCase {
  /** Parameters that keep the suite short. */
  readonly params: Readonly<Record<string, unknown>>;
  /** Parameters that only some settings read, with the settings under which each is. */
  readonly readWhen?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /** The stage of its progress in which it is stopped, such as "values"; by default the first thing that it logs. */
  readonly stage?: string;
  /** Questions whose answers stay, in place of the model's own, which it takes seconds to ask for. */
  readonly retain?: readonly QA[];
  /** What is to be forgotten; by default a fact whose answer is one word. */
  readonly request?: ForgetRequest;
  /** Threads, where fewer do it faster. */
  readonly threads?: number;
}

/** Another fact, in more words. */
const LATER: ForgetRequest = { ...capitalOf("Quillon"), prompt: "Which city, if you please, is the capital of Quillon today?" };
const STATISTICS = { text: "self", tokens: 2048, length: 512, seed: 0 } as const;

/** What the tests share: a model, an edit, and the programs by which it was found. */
interface Found {
  readonly model: Model;
  readonly before: string;
  readonly edit: Edit;
  readonly programs: readonly string[];
}

interface Bench {
  readonly method: AnyMethod;
  readonly c: MethodCase;
  readonly folder: string;
  readonly ctx: Context;
  readonly options: FindOptions;
  readonly request: ForgetRequest;
  readonly found: () => Promise<Found>;
}

/** Tests that a method finds good edits, the same each time, and neither hides a parameter nor touches the base. */
export function methodConforms<P extends object>(given: Method<P> | AnyMethod, c: MethodCase, runner: Runner): void {
  const method = given as unknown as AnyMethod;
  suite(runner, `${method.name} conforms`, (test, after) => {
    const folder = scratch("lethe-method");
    const own = defaultContext({ cache: join(folder, "cache"), ...(c.threads && { threads: c.threads }) });
    const ctx = withPlugin(own, [method], { id: "conformance", name: method.name });
    const options: FindOptions = {
      method: method.name,
      say: SAY,
      params: c.params,
      statistics: { tokens: STATISTICS.tokens },
      seed: 3,
      ctx,
      ...(c.retain && { retain: c.retain }),
    };
    const { request = FACT } = c;
    const loaded = once(() => load("bundled", ctx));
    const found = once(async (): Promise<Found> => {
      const model = await loaded();
      const before = weightsOf(model);
      const [edit, programs] = await withPrograms(model, (watched) => findEdit(watched, request, options));
      return { model, before, edit, programs };
    });
    after(async () => {
      await (await loaded()).release();
      rmSync(folder, { recursive: true, force: true });
    });
    const bench: Bench = { method, c, folder, ctx, options, request, found };
    edits(test, bench);
    refuses(test, bench);
    reads(test, bench);
  });
}

/** The result of some work on a model, and the programs that it ran. */
async function withPrograms<T>(model: Model, work: (watched: Model) => Promise<T>): Promise<[T, string[]]> {
  const ran = new Set<string>();
  const sessions = new Proxy(model.sessions, {
    get(target, key) {
      const member: unknown = Reflect.get(target, key, target);
      if (typeof member !== "function") return member;
      return (...args: unknown[]): unknown => {
        if (args[0] instanceof Graph) ran.add(args[0].hash);
        return Reflect.apply(member, target, args);
      };
    },
  });
  const made = await work({
    ...model,
    get id() {
      return model.id;
    },
    sessions,
  });
  return [made, [...ran]];
}

function edits(test: Test, { method, folder, ctx, options, request, found }: Bench): void {
  test("leaves the base as it was, to the bit", async () => {
    const { model, before } = await found();
    assert.equal(weightsOf(model), before);
  });
  test("gives the same edit for the same seed, whether statistics are cached or not", async () => {
    const { model, edit } = await found();
    const again = await findEdit(model, request, { ...options, ctx: { ...ctx, cache: join(folder, "other") } });
    assert.equal(bytesOf(again), bytesOf(edit));
    assert.equal(again.id, edit.id);
  });
  test("finds a later edit, with other lengths and numbers of rows, by the programs of the first", async () => {
    const { model, programs } = await found();
    const [, later] = await withPrograms(model, (watched) => findEdit(watched, LATER, options));
    assert.deepEqual(
      later.filter((program) => !programs.includes(program)),
      [],
    );
  });
  test("makes the target likelier, or the model's own answer less likely where there is none", async () => {
    const { model, edit } = await found();
    const edited = apply(model, edit);
    if (method.needs.includes("target")) {
      const [is, was] = [await likelihoodOf(edited, SAY, request.prompt), await likelihoodOf(model, SAY, request.prompt)];
      assert.ok(is > was + 1, `log-probability of the target: ${was} before, ${is} after`);
      return;
    }
    const [{ answer }] = (await withAnswers(model, [request], { format: "chat" }, ctx)) as [ForgetRequest];
    assert.match(answer, /\w/);
    const [is, was] = [await likelihoodOf(edited, answer, request.prompt), await likelihoodOf(model, answer, request.prompt)];
    assert.ok(is < was - 1, `log-probability of "${answer}": ${was} before, ${is} after`);
  });
  test("survives saving and loading", async () => {
    const { edit } = await found();
    const path = join(folder, "edit");
    saveEdits(path, [edit]);
    const [loaded] = loadEdits(path);
    assert.equal(bytesOf(loaded!), bytesOf(edit));
    assert.deepEqual({ ...loaded, change: 0, memory: 0 }, { ...edit, change: 0, memory: 0 });
  });
}

function refuses(test: Test, { method, c, folder, ctx, options, found }: Bench): void {
  test("stops within a step when asked to", async () => {
    const { model } = await found();
    const stop = new AbortController();
    const quick: Context = {
      ...ctx,
      cache: join(folder, "empty"), // nothing of an earlier run may shorten this one
      signal: stop.signal,
      log: (e) => {
        if (c.stage === undefined || (e.kind === "progress" && e.stage === c.stage)) stop.abort();
      },
    };
    const isAborted = (error: unknown): boolean => error instanceof LetheError && error.trouble === "aborted";
    const run = findEdit(model, FACT, { ...options, ctx: quick });
    if (c.stage !== undefined) return assert.rejects(run, isAborted);
    await run.catch((error: unknown) => assert.ok(isAborted(error), String(error)));
    stop.abort(); // where it logs nothing it must at least not begin
    await assert.rejects(findEdit(model, FACT, { ...options, ctx: quick }), isAborted);
  });
  test("refuses what it needs and lacks, before anything is computed", async () => {
    const { model } = await found();
    if (method.needs.includes("subject"))
      await assert.rejects(findEdit(model, { ...FACT, subject: "Basil" }, options), /"Basil" is not in prompt/);
    if (method.needs.includes("target")) await assert.rejects(findEdit(model, FACT, { ...options, say: " " }), /empty target/);
    await assert.rejects(findEdit(model, FACT, { ...options, params: { nonesuch: 1 } }), /nonesuch/);
    await assert.rejects(findEdit(model, FACT, { ...options, compat: ["nonesuch"] }), /nonesuch/);
  });
}

function reads(test: Test, { method, c, ctx, found }: Bench): void {
  test("reads every parameter it declares", async () => {
    const { model } = await found();
    const read = new Set<string>();
    for (const extra of [{}, ...Object.values(c.readWhen ?? {})]) {
      const params = watched(resolveParams(method.name, method.params, { ...c.params, ...extra }, model.config), read);
      await method.edit({
        model,
        requests: [{ ...FACT, answer: "Sellamere", target: SAY }],
        retain: c.retain ?? [],
        encoder: ownEncoder(model),
        params: params as never,
        compat: new Set(),
        format: "chat",
        seed: 3,
        running: { dtype: "float32", executor: "graph" },
        ctx,
        statistics: statisticsOf(model, STATISTICS, ctx),
      });
    }
    assert.deepEqual(
      Object.keys(method.params).filter((name) => !read.has(name)),
      [],
    );
  });
}

/** The same values, with a note of which are read. */
export const watched = <T extends object>(values: T, read: Set<string>): T =>
  new Proxy(values, {
    get(target, key, self) {
      read.add(String(key));
      return Reflect.get(target, key, self) as unknown;
    },
  });
