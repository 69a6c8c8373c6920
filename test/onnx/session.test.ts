/** Sessions are lent to tasks: one in use is not freed, an idle one is, and tasks that share one do not disturb each other. */
import { afterEach, describe, expect, test, vi } from "vitest";
import { floats, type NdArray } from "../../src/base/array.ts";
import { defaultContext } from "../../src/base/context.ts";
import type { LetheError } from "../../src/base/fail.ts";
import { generate, stream } from "../../src/model/decode/generate.ts";
import { load } from "../../src/model/load.ts";
import { withOwnSessions, withWeights } from "../../src/model/model.ts";
import { promptWithoutEdits } from "../../src/model/prompt.ts";
import { emit } from "../../src/onnx/emit.ts";
import { program } from "../../src/onnx/program.ts";
import { Session, Sessions } from "../../src/onnx/session.ts";
import { type Graph, trace } from "../../src/tensor/graph.ts";
import { tinyModel } from "../train/tiny.ts";

/** x [N] → k·x: another session for every k. */
const times = (k: number): Graph => trace((t) => ({ y: t.input("x", "float32", ["N"]).mul(k) }));
const feeds = (...xs: number[]): Map<string, NdArray> => new Map([["x", floats(xs)]]);
const ran = async (session: Session, ...xs: number[]): Promise<number[]> =>
  Array.from((await session.run(feeds(...xs)))["y"]!.data as Float32Array);

/** A task that holds a session until its end is called; then it runs the session once more. */
function held(sessions: Sessions, graph: Graph): { readonly running: Promise<Session>; readonly end: () => Promise<number[]> } {
  let [started, letGo]: [(s: Session) => void, () => void] = [() => {}, () => {}];
  const running = new Promise<Session>((resolve) => (started = resolve));
  const open = new Promise<void>((resolve) => (letGo = resolve));
  const result = sessions.use(graph, {}, async (session) => {
    started(session);
    await open;
    return ran(session, 1, 2);
  });
  return { running, end: () => (letGo(), result) };
}

const isLive = (session: Session): Promise<boolean> =>
  ran(session, 1).then(
    () => true,
    () => false,
  );

afterEach(() => void vi.restoreAllMocks());

describe("eviction", () => {
  test.each([1, 2])("with room for %i, tasks that take turns get their own results, and no more stay", async (most) => {
    const sessions = new Sessions(1, most);
    const [create, release] = [vi.spyOn(Session, "create"), vi.spyOn(Session.prototype, "release")];
    const work = async (k: number): Promise<number[]> => {
      const run = program(sessions, times(k));
      const sums: number[] = [];
      for (let i = 0; i < 5; i++) sums.push(...((await run.run(feeds(i, -i)))["y"]!.data as Float32Array));
      return sums;
    };
    const all = await Promise.all([2, 3, 5, 7, 11].map(work));
    expect(all).toEqual([2, 3, 5, 7, 11].map((k) => [0, 1, 2, 3, 4].flatMap((i) => [k * i, -k * i])));
    expect(create.mock.calls.length - release.mock.calls.length).toBe(most);
    await sessions.release();
    expect(release.mock.calls.length).toBe(create.mock.calls.length);
  });

  test.each([1, 2])("with room for %i, what is in use stays, and the idle go", async (most) => {
    const sessions = new Sessions(1, most);
    const first = held(sessions, times(2));
    const session = await first.running;
    const others = [];
    for (const k of [3, 5, 7]) others.push(await sessions.use(times(k), {}, (s) => Promise.resolve(s)));
    expect(await Promise.all([session, ...others].map(isLive))).toEqual(
      most === 1 ? [true, false, false, false] : [true, false, false, true],
    );
    expect(await first.end()).toEqual([2, 4]);
    expect(await isLive(session)).toBe(true); // used last
    await sessions.use(times(11), {}, (s) => Promise.resolve(s));
    await sessions.use(times(13), {}, (s) => Promise.resolve(s));
    expect(await isLive(session)).toBe(false);
    await sessions.release();
  });

  test("of the idle, what was used longest ago goes, not what was made first, and it goes before the new one is made", async () => {
    const sessions = new Sessions(1, 2);
    const [create, release] = [vi.spyOn(Session, "create"), vi.spyOn(Session.prototype, "release")];
    const use = (k: number): Promise<Session> => sessions.use(times(k), {}, (s) => Promise.resolve(s));
    const [a, b] = [await use(2), await use(3)];
    await use(2);
    const c = await use(5);
    expect(await Promise.all([a, b, c].map(isLive))).toEqual([true, false, true]);
    expect(release.mock.invocationCallOrder[0]).toBeLessThan(create.mock.invocationCallOrder[2]!);
    await sessions.release();
  });

  test("more than there is room for may be in use at once; when they are idle, one stays", async () => {
    const sessions = new Sessions(1, 1);
    const works = [2, 3, 5].map((k) => held(sessions, times(k)));
    const all = await Promise.all(works.map(({ running }) => running));
    expect(await Promise.all(all.map(isLive))).toEqual([true, true, true]);
    expect(await Promise.all(works.map(({ end }) => end()))).toEqual([
      [2, 4],
      [3, 6],
      [5, 10],
    ]);
    expect((await Promise.all(all.map(isLive))).filter(Boolean)).toHaveLength(1);
    await sessions.release();
  });
});

test("tasks at once on one session each get what they get alone", async () => {
  const sessions = new Sessions(2);
  const create = vi.spyOn(Session, "create");
  const run = program(sessions, times(3));
  const inputs = Array.from({ length: 20 }, (_, i) => Array.from({ length: 1 + (i % 7) }, (_, j) => i * j - 3));
  const all = await Promise.all(inputs.map((xs) => run.run(feeds(...xs))));
  expect(all.map(({ y }) => Array.from(y!.data as Float32Array))).toEqual(inputs.map((xs) => xs.map((x) => 3 * x)));
  expect(create).toHaveBeenCalledTimes(1);
  await sessions.release();
});

describe("release", () => {
  test("frees idle sessions at once and the others when their tasks are done, and then ends", async () => {
    const sessions = new Sessions(1);
    const idle = await sessions.use(times(3), {}, (s) => Promise.resolve(s));
    const work = held(sessions, times(2));
    const session = await work.running;
    let isOver = false;
    const released = sessions.release().then(() => (isOver = true));
    await new Promise(setImmediate);
    expect([await isLive(idle), await isLive(session), isOver]).toEqual([false, true, false]);
    // a task that comes meanwhile gets a new session
    const other = await sessions.use(times(2), {}, (s) => Promise.resolve(s));
    expect(other).not.toBe(session);
    expect(await work.end()).toEqual([2, 4]);
    await released;
    expect([await isLive(session), await isLive(other)]).toEqual([false, true]);
    await sessions.release();
  });

  test("a session that is kept beyond its task says what to do", async () => {
    const sessions = new Sessions(1);
    const session = await sessions.use(times(3), {}, (s) => Promise.resolve(s));
    await sessions.release();
    await expect(session.run(feeds(1))).rejects.toThrow(
      /a session that was released; wanted one in use\. Run it inside the task that it is lent to/,
    );
  });

  test("a task that fails gives its session back and keeps its error", async () => {
    const sessions = new Sessions(1);
    await expect(sessions.use(times(3), {}, (session) => session.run(new Map()))).rejects.toThrow(/no value for input "x"/);
    await sessions.release(); // would wait forever if the task still counted
  });
});

describe("models made elsewhere", () => {
  const file = { bytes: emit(times(4)).bytes, path: "times-four.onnx" };

  test("are opened once for tasks at once, and are freed when the last is done", async () => {
    const sessions = new Sessions(1, 1);
    const run = (x: number): Promise<number[]> =>
      sessions.useForeign("four", file, async (foreign) => {
        await new Promise(setImmediate);
        const out = await foreign.run({ [foreign.inputs[0]!]: floats([x, 2 * x]) });
        return Array.from(out[foreign.outputs[0]!]!.data as Float32Array);
      });
    const both = [run(1), run(2)];
    await new Promise(setImmediate);
    await sessions.release();
    expect(await Promise.all(both)).toEqual([
      [4, 8],
      [8, 16],
    ]);
    const kept = await sessions.useForeign("four", file, (foreign) => Promise.resolve(foreign));
    await sessions.release();
    await expect(kept.run({ [kept.inputs[0]!]: floats([1]) })).rejects.toThrow(/a model that was released/);
  });

  test("that cannot be opened fail for every task that waits, and are tried again for the next", async () => {
    const sessions = new Sessions(1);
    const damaged = { bytes: file.bytes.slice(0, 40), path: "damaged.onnx" };
    const asked = [1, 2].map(() => sessions.useForeign("k", damaged, (foreign) => Promise.resolve(foreign.inputs)));
    for (const one of await Promise.allSettled(asked))
      expect(String((one as PromiseRejectedResult).reason)).toMatch(/damaged\.onnx is no model/);
    expect(await sessions.useForeign("k", file, (foreign) => Promise.resolve(foreign.inputs))).toHaveLength(1);
    await sessions.release();
  });
});

describe("a model", () => {
  const ctx = defaultContext();

  test("is released when the runs under way are done; a later run, also on a view, is refused and told what to do", async () => {
    const model = await load("bundled", ctx);
    const prompt = model.tokenizer.encode(promptWithoutEdits(model, "What is the capital of Norvane?").text, { special: false }).ids;
    const alone = await generate(model, [prompt], { maxTokens: 3, freeze: false });
    const steps = stream(model, [prompt], { maxTokens: 3, freeze: false });
    const first = steps.next();
    await new Promise(setImmediate);
    await model.release();
    expect((await first).value).toMatchObject({ id: alone[0]!.ids[0] });
    await expect(steps.next()).rejects.toThrow(
      /a model that was released; wanted a model in use\. Load it again, and release it after the last run\./,
    );
    await expect(generate(withWeights(model, new Map()), [prompt], { maxTokens: 1 })).rejects.toMatchObject({
      trouble: "usage",
    } satisfies Partial<LetheError>);
    await model.release(); // a second time is no trouble
  });

  test("lends a task sessions of its own: those that are kept stay, and a release waits for the task", async () => {
    const model = tinyModel();
    const prompt = [model.tokenizer.encode("What is the capital of Veyra?").ids];
    const alone = await generate(model, prompt, { maxTokens: 2 });
    const [create, release] = [vi.spyOn(Session, "create"), vi.spyOn(Session.prototype, "release")];
    const apart = await withOwnSessions(model, (own) => generate(own, prompt, { maxTokens: 2 }));
    expect(apart).toEqual(alone);
    expect([create.mock.calls.length, release.mock.calls.length]).toEqual([1, 1]);
    expect(await generate(model, prompt, { maxTokens: 2 })).toEqual(alone);
    expect(create).toHaveBeenCalledTimes(1); // the model's own session is still there

    const graph = trace((t) => ({ y: t.input("x", "float32", ["N"]).mul(2) }));
    let work: ReturnType<typeof held> | undefined;
    const whole = withOwnSessions(model, async ({ sessions }) => {
      work = held(sessions, graph);
      await work.running;
      return work.end();
    });
    const released = model.release();
    expect(await whole).toEqual([2, 4]);
    await released;
    expect(release.mock.calls.length).toBe(create.mock.calls.length + 1);
    await expect(withOwnSessions(model, (own) => generate(own, prompt, { maxTokens: 2 }))).rejects.toThrow(/a model that was released/);
  });
});
