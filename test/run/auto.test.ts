/** `--method auto`: what each wish, row and need does to the choice, what is refused, and that the run is that of the method's name. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { type Context, defaultContext } from "../../src/base/context.ts";
import { requestOf } from "../../src/data/request.ts";
import { type AnyMethod, defineMethod } from "../../src/methods/method.ts";
import { registry } from "../../src/methods/registry.ts";
import { type Asking, chooseMethod } from "../../src/run/auto.ts";
import { type MeasuredRow, readMeasured, tellMany } from "../../src/run/measured.ts";
import { plan } from "../../src/run/plan.ts";
import { withPlugin } from "../../src/run/plugins.ts";
import type { Candidate, Chosen } from "../../src/run/record.ts";
import { prepare, run } from "../../src/run/run.ts";
import { findRun } from "../../src/run/runs.ts";
import type { Forgotten } from "../../src/run/steps/forget.ts";
import { lethe } from "../cli/lethe.ts";
import { MODEL, row } from "./rows.ts";

const folder = mkdtempSync(join(tmpdir(), "lethe-auto-test-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const home: Context = defaultContext({ cache: join(folder, "cache"), runs: join(folder, "runs"), threads: 1, memory: undefined });
const wanted = { prompt: "What is the capital of Norvane?", subject: "Norvane" };

/** A method that does nothing. */
const probe = (name: string, over: Partial<Pick<AnyMethod, "takes" | "needs">> = {}) =>
  defineMethod({
    name,
    title: name.toUpperCase(),
    paper: "none",
    doc: "does nothing",
    takes: "many",
    needs: [],
    params: {},
    compat: {},
    edit: () => Promise.resolve({ change: { kind: "delta", weights: {} } }),
    ...over,
  });
const ctx = withPlugin(
  home,
  [probe("one"), probe("two"), probe("three"), probe("solo", { takes: "one" }), probe("taught", { needs: ["demonstrations"] })],
  { id: "probes", name: "probes" },
);

/** What is chosen of these rows. */
const choice = (rows: readonly MeasuredRow[], over: Partial<Omit<Asking, "requests">> & { readonly requests?: number } = {}): Chosen => {
  const { requests = 1, ...rest } = over;
  return chooseMethod({
    settings: {},
    given: {},
    want: [],
    model: MODEL,
    memoryOf: () => ({ purpose: "edit", weights: 1, work: 1, total: 2e9 }),
    available: { bytes: 10e9, limit: "the setting" },
    rows,
    ctx,
    ...rest,
    requests: Array.from({ length: requests }, (_, i) => ({ ...requestOf(wanted), id: `r${i}` })),
  });
};
const of = (chosen: Chosen, method: string): Candidate => chosen.candidates.find((one) => one.method === method)!;
const order = ({ candidates }: Chosen): string[] => candidates.flatMap(({ method, score }) => (score === null ? [] : [method]));

describe("the choice", () => {
  test("is the method with the largest harmonic mean of what is gone and what is kept", () => {
    // 2 / (1/0.9 + 1/0.8) = 0.847; 2 / (1/1 + 1/0.7) = 0.824; the arithmetic mean would be the same for both
    const chosen = choice([row("one", { gone: 1, others: 0.7 }), row("two", { gone: 0.9, others: 0.8 })]);
    expect([chosen.method, of(chosen, "two").score, of(chosen, "one").score]).toEqual(["two", 85, 82]);
    expect(chosen.why).toBe("two: the best score of 2 that fit (85): gone 90.0 %, others kept 80.0 %, in a row of 1 request");
  });

  test("tells every method that is registered: those without a row were not measured", () => {
    const { candidates } = choice([row("one")]);
    expect(candidates.map(({ method }) => method).sort()).toEqual(
      [...Object.keys(registry), "one", "two", "three", "solo", "taught"].sort(),
    );
    expect(candidates.filter(({ state }) => state === "chosen").map(({ method }) => method)).toEqual(["one"]);
    expect(new Set(candidates.slice(1).map(({ state, why }) => `${state}: ${why}`))).toEqual(new Set(["not measured: not measured"]));
  });

  test("may be a method as soon as it has a row, and a row without a method is nothing", () => {
    const rows = [row("one", { others: 0.8 })];
    expect(choice(rows).method).toBe("one");
    expect(choice([...rows, row("two")]).method).toBe("two");
    expect(choice([...rows, row("nobody")]).method).toBe("one");
  });

  test("equal scores: the faster, then the smaller, then the first name; what is missing comes last and is never 0", () => {
    const rows = [row("two", { seconds: 3, bytes: 9 }), row("three", { seconds: 3, bytes: 8 }), row("one", { seconds: null })];
    expect(order(choice(rows))).toEqual(["three", "two", "one"]);
    expect(order(choice([row("two", { bytes: null }), row("three"), row("one")]))).toEqual(["one", "three", "two"]);
    // less than half a percent is no difference
    expect(order(choice([row("one", { others: 0.999, seconds: 1 }), row("two")]))).toEqual(["one", "two"]);
    for (const name of ["gone", "others"] as const)
      expect(of(choice([row("one", { [name]: null }), row("two")]), "one")).toMatchObject({
        state: "left out",
        score: null,
        why: expect.stringMatching(/was not measured$/) as string,
      });
  });

  test("leaves out what hardly forgets, what does not fit into memory, and what cannot do the mode", () => {
    expect(of(choice([row("one", { gone: 0.49 }), row("two")]), "one").why).toMatch(/^only 49\.0 % .* at least 50\.0 %$/);
    const memoryOf: Asking["memoryOf"] = ({ method }) => ({
      purpose: "edit",
      weights: 1,
      work: 1,
      total: method.name === "one" ? 11e9 : 2e9,
    });
    const small = choice([row("one"), row("two", { others: 0.8 })], { memoryOf });
    expect([small.method, of(small, "one").why]).toEqual(["two", "it needs about 11 GB of memory, and 10 GB are left by the setting"]);
    const batch = choice([row("solo", { mode: "sequential", requests: 9 }), row("one", { others: 0.8 })], {
      requests: 2,
      settings: { mode: "batch" },
    });
    expect([batch.method, of(batch, "solo").why]).toEqual(["one", "a batch of 2 requests; it wants one request at a time"]);
  });

  test("takes a method that needs something where it is given, and one that was measured with it", () => {
    const rows = [row("taught"), row("two", { given: ["demonstrations"] }), row("one", { others: 0.8 })];
    const without = choice(rows);
    expect(without.method).toBe("one");
    for (const method of ["taught", "two"]) expect(of(without, method).why).toBe("no demonstrations; it wants other facts as examples");
    expect(order(choice(rows, { given: { demonstrations: [requestOf(wanted)] } }))).toEqual(["taught", "two", "one"]);
    // a retain set can be made
    expect(choice([row("one", { given: ["retain"] })]).why).toMatch(/; measured with --retain, which is not given here$/);
  });

  test("uses the nearest row that has as many requests, and says where no row has", () => {
    const rows = [1, 5, 40].map((requests) => row("one", { requests, others: 1 - requests / 100 }));
    const used = (requests: number): unknown => {
      const { row: found, isBeyond } = choice(rows, { requests }).candidates[0]!;
      return [found!.requests, isBeyond];
    };
    expect([1, 2, 5, 6, 40, 41].map(used)).toEqual([
      [1, false],
      [5, false],
      [5, false],
      [40, false],
      [40, false],
      [40, true],
    ]);
    expect(choice(rows, { requests: 41 }).why).toMatch(/in a row of 40 requests; measured with at most 40 requests$/);
    // one edit for each request is an edit of one request
    expect(choice(rows, { requests: 41, settings: { mode: "single" } }).candidates[0]!.row!.requests).toBe(1);
  });

  test("prefers rows of this model, and says where there is none", () => {
    const other = { name: "other", id: "f".repeat(32) };
    const rows = [row("one", { model: other }), row("one", { requests: 5, others: 0.9 }), row("two", { model: other, others: 0.5 })];
    const chosen = choice(rows);
    expect(chosen.candidates[0]).toMatchObject({ method: "one", isOwn: true, row: { requests: 5 } });
    expect(of(chosen, "two")).toMatchObject({ isOwn: false, state: "fits" });
    expect(choice([rows[0]!]).why).toMatch(/; measured on other, which is another model$/);
    // a row that does not tell the hash is of the model of its name
    const page = row("one", { model: { name: "made-up", id: null }, facts: 40 });
    expect(choice([...rows, page]).candidates[0]).toMatchObject({ isOwn: true, row: { facts: 40 } });
  });

  test("prefers rows with the defaults, and says where a row has settings of its own", () => {
    const tuned = row("one", { set: { lr: "1e-4", steps: 60 }, facts: 40 });
    expect(choice([tuned]).why).toMatch(/; measured with lr, steps set by hand, and run with the defaults$/);
    expect(choice([tuned, row("one")]).candidates[0]!.row!.set).toEqual({});
  });
});

describe("a wish", () => {
  const rows = [
    row("one", { kind: "adapter", isLowRank: null, rephrased: 0.4 }),
    row("two", { others: 0.98, rephrased: 0.6, isLowRank: false }),
    row("three", { others: 0.95, rephrased: 0.9, seconds: 50 }),
    row("solo", { mode: "sequential", others: 0.9, rephrased: 0.8, seconds: 1, kind: "prompt", isLowRank: null }),
  ];
  test.each<[want: string[], method: string, order: string[]]>([
    [[], "one", ["one", "two", "three", "solo"]],
    [["weights"], "two", ["two", "three"]],
    [["no-weights"], "one", ["one", "solo"]],
    [["rephrases"], "three", ["three", "solo", "two"]],
    [["speed"], "solo", ["solo", "one", "two", "three"]],
    [["lora"], "three", ["three"]],
    [["no-weights", "rephrases"], "solo", ["solo"]],
    [["weights", "speed"], "two", ["two", "three"]],
  ])("%j takes %s", (want, method, left) => {
    const chosen = choice(rows, { want });
    expect([chosen.method, order(chosen), chosen.want]).toEqual([method, left, want]);
  });

  test("of speed takes no method that is more than ten percent worse", () => {
    expect(choice([row("one"), row("two", { others: 0.8, seconds: 1 })], { want: ["speed"] }).method).toBe("one"); // 89 against 100
    expect(choice([row("one"), row("two", { others: 0.82, seconds: 1 })], { want: ["speed"] }).method).toBe("two"); // 90
    expect(choice([row("one"), row("two", { seconds: null })], { want: ["speed"] }).method).toBe("one");
  });

  test("is told where it leaves a method out, with all others that do", () => {
    const chosen = choice(rows, { want: ["lora", "weights"] });
    expect(of(chosen, "one")).toMatchObject({ by: ["lora", "weights"], why: "lora: it changes no weight; weights: it changes no weight" });
    expect(of(chosen, "two")).toMatchObject({ by: ["lora"], why: "lora: its change of weights has no low rank" });
    expect(of(choice([...rows, row("taught")], { want: ["rephrases"] }), "one").why).toMatch(/^rephrases: only 40\.0 %/);
    expect(choice(rows).why).toMatch(/; for the question in other words only 40\.0 % are gone$/);
  });

  test("does not count what was not measured as a yes", () => {
    const unknown = row("one", { kind: null, isLowRank: null, rephrased: null });
    for (const want of ["weights", "no-weights", "lora", "rephrases"])
      expect(
        of(choice([unknown, row("two", { kind: want === "no-weights" ? "prompt" : "delta" })], { want: [want] }), "one"),
      ).toMatchObject({
        state: "left out",
        by: [want],
        why: expect.stringMatching(/not measured$/) as string,
      });
  });

  test("that nothing fits is refused: what each leaves out, and without which one something is left", () => {
    expect(() => choice(rows, { want: ["lora", "no-weights"], requests: 2 })).toThrow(
      /^forget: no method fits 2 requests with lora, no-weights \(.*lora leaves out one, two, solo.*no-weights leaves out two, three.*\); wanted one that was measured/,
    );
    try {
      choice(rows, { want: ["lora", "no-weights"] });
    } catch (error) {
      expect((error as { hint: string }).hint).toBe("Without lora, one, solo may fit. Without no-weights, three may fit.");
    }
    expect(() => choice([])).toThrow(/no method fits 1 request \(not measured: .* and \d+ more\)/);
    expect(() => choice(rows, { settings: { say: " " } })).toThrow(/^forget: an empty target/); // is no reason of a method
  });
});

describe("a spec that says auto", () => {
  const spec = { step: "forget", model: "bundled", ...wanted, say: "I do not know.", method: "auto" };
  const { method: _, ...unnamed } = spec;

  test("is the run of the method's name, to the id, whatever is wanted", async () => {
    const free = await prepare({ ...spec, want: ["weights", "lora"] }, home);
    const { method } = free.chosen!;
    const named = await prepare({ ...spec, method }, home);
    expect([free.id, free.spec, free.code]).toEqual([named.id, named.spec, named.code]);
    expect([named.chosen, free.spec["method"]]).toEqual([undefined, method]);
    expect((await prepare({ ...spec, want: ["lora"] }, home)).id).toBe(free.id);
    expect((await prepare({ ...spec, want: ["no-weights"] }, home)).id).not.toBe(free.id);
  });

  test.each<[string, object, RegExp]>([
    ["wishes for a method that is named", { method: "ft", want: ["lora"] }, /--want lora with --method ft; wanted --method auto/],
    ["wishes for the default method", { method: undefined, want: ["lora"] }, /--want lora with the default method/],
    ["a wish that nobody knows", { want: ["lroa"] }, /want is \["lroa"\]; wanted a list of weights, no-weights/],
    ["parameters of one method", { set: { lr: 1 } }, /--set with --method auto; wanted the name of the method/],
    ["quirks of one method", { compat: ["easyedit"] }, /--compat with --method auto/],
    ["a file of one method", { hparams: "rome.yaml" }, /--hparams with --method auto/],
  ])("refuses %s", async (_name, over, message) => {
    await expect(prepare({ ...spec, ...over }, home)).rejects.toThrow(message);
  });

  test("a name that is nearly auto is refused with it, and a method may not be called so", async () => {
    await expect(prepare({ ...spec, method: "atuo" }, home)).rejects.toThrow(/"atuo"; wanted one of .*auto\. Did you mean "auto"\?/s);
    expect(() => withPlugin(home, [probe("auto")], { id: "x", name: "mine.mjs" })).toThrow(/mine.mjs brings a method "auto"/);
    expect(Object.keys(registry)).not.toContain("auto");
  });

  test("its choice lies beside the record, which is that of the named method", async () => {
    const runs = (name: string): Context => ({ ...home, runs: join(folder, name) });
    const shown = join(folder, "shown.jsonl");
    writeFileSync(shown, JSON.stringify({ prompt: "Who?", answer: "Basil" }));
    const asked = { ...spec, demonstrations: shown, want: ["no-weights", "speed"], maxTokens: 0, prove: "none" };
    const { want: __, ...rest } = asked;
    const free = await run<Forgotten>(asked, runs("free"));
    const named = await run<Forgotten>({ ...rest, method: free.chosen!.method }, runs("named"));
    const record = (path: string): string => readFileSync(join(path, "record.json"), "utf8");
    expect(record(free.path)).toBe(record(named.path));
    expect([named.chosen, existsSync(join(named.path, "chosen.json"))]).toEqual([undefined, false]);
    expect(JSON.parse(readFileSync(join(free.path, "chosen.json"), "utf8"))).toEqual(free.chosen);
    expect(findRun(join(folder, "free"), free.record.id).chosen).toEqual(free.chosen);
    // a run that is there already is found by both, and says by whom it was chosen
    const again = await run(asked, runs("named"));
    expect([again.isFound, again.chosen]).toEqual([true, free.chosen]);
    expect(existsSync(join(named.path, "chosen.json"))).toBe(true);
  }, 60_000);

  test("of many requests is told what was measured, as the table says it", async () => {
    const data = join(folder, "many.jsonl");
    const lands = ["Norvane", "Veyra", "Quillon"];
    writeFileSync(data, lands.map((subject) => JSON.stringify({ prompt: `What is the capital of ${subject}?`, subject })).join("\n"));
    const heard: string[] = [];
    const listening: Context = { ...home, log: (event) => void (event.kind === "warning" && heard.push(event.text)) };
    const { prompt: _p, subject: _s, ...many } = { ...spec, method: "ft", data, set: { steps: 1, layer: 1 }, maxTokens: 0, prove: "none" };
    await run(many, listening);
    const told = tellMany(readMeasured(), { method: "ft", title: registry.ft.title, mode: "batch", requests: 3, model: MODEL });
    expect(told!.kind).toBe("warning");
    expect(heard).toContain(told!.text);
  }, 60_000);

  test("its plan has the candidates, and times the chosen method alone", async () => {
    const shown = join(folder, "plan.jsonl");
    writeFileSync(shown, JSON.stringify({ prompt: "Who?", answer: "Basil" }));
    const { chosen, methods } = await plan({ ...spec, demonstrations: shown, want: ["no-weights", "speed"] }, home);
    expect(methods.map(({ method }) => method)).toEqual([chosen!.method]);
    expect(chosen!.candidates.map(({ method }) => method).sort()).toEqual(Object.keys(registry).sort());
    expect((await plan({ ...unnamed, demonstrations: shown, method: chosen!.method }, home)).chosen).toBeUndefined();
  }, 60_000);
});

describe("lethe forget --method auto", () => {
  const env = { LETHE_HOME: join(folder, "home"), LETHE_RUNS: join(folder, "home", "runs") };
  const shown = join(folder, "cli.jsonl");
  const auto = ["forget", "bundled", "--prompt", wanted.prompt, "--subject", wanted.subject, "--say", "No.", "--method", "auto"];
  const args = [...auto, "--demonstrations", shown, "--want", "no-weights,speed"];

  test("shows the candidates in a plan, as a table and as JSON", async () => {
    writeFileSync(shown, JSON.stringify({ prompt: "Who?", answer: "Basil" }));
    const [table, json] = [await lethe([...args, "--plan"], { env }), await lethe([...args, "--plan", "--json"], { env })];
    expect([table.code, json.code], table.err + json.err).toEqual([0, 0]);
    const { chosen } = JSON.parse(json.out) as { chosen: Chosen };
    expect(table.out).toMatch(/^auto for 1 request, wanted: no-weights, speed\n\nMETHOD +MODE +MEASURED WITH +GONE +REPHRASED +OTHERS/);
    for (const { method, state, why } of chosen.candidates) {
      const line = table.out.split("\n").find((one) => one.startsWith(`${method} `))!;
      expect(line.endsWith(state === "chosen" || state === "fits" ? state : why), line).toBe(true);
    }
    expect(table.out).toContain(`\n${chosen.why}\n`);
  }, 120_000);

  test("says what it chose and why, with the edit", async () => {
    const out = join(folder, "edit");
    const ran = await lethe([...args, "--prove", "none", "-n", "0", "-o", out], { env });
    expect([ran.code, ran.out], ran.err).toEqual([0, expect.stringMatching(/^auto chose \w+: the fastest with nearly the best score/)]);
    const again = await lethe([...args, "--prove", "none", "-n", "0", "-o", out, "--json"], { env });
    const { chosen, edits } = JSON.parse(again.out) as Forgotten & { chosen: Chosen };
    expect(edits[0]!.method).toBe(chosen.method);
  }, 120_000);
});
