/** Records of an older build: counted once a sample gives the same bytes, refused otherwise; and records without weights. */
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { type Context, defaultContext, type Event } from "../../../src/base/context.ts";
import { hashFile } from "../../../src/run/folder.ts";
import { Board } from "../../../src/run/grid/board.ts";
import { acceptGrid, copyGrid, gridRecord, gridStatus, openGrid, planGrid, runGrid } from "../../../src/run/grid.ts";
import type { RunRecord } from "../../../src/run/record.ts";
import { listRuns } from "../../../src/run/runs.ts";

const root = mkdtempSync(join(tmpdir(), "lethe-grid-accept-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const GRID = `name: lamps
vars: { more: 0 }
axes:
  seed: [0, 1]
steps:
  facts: { step: select, data: "\${here}/facts.jsonl" }
  edit:
    step: forget
    model: bundled
    data: \${facts}
    method: ft
    seed: \${seed}
    say: I do not know.
    set: { layer: 4, steps: 2 }
    maxTokens: 0
  judged:
    step: eval
    model: bundled
    edit: ["\${edit}"]
    suite: forgetting
    data: [{ group: forget, data: "\${facts}" }]
    maxTokens: 4
tables:
  main:
    rows: [seed]
    columns:
      - { title: seed, text: "\${seed}" }
      - { title: gone, number: Gone Forget, of: judged, as: percent }
`;

let made = 0;
function start(): { folder: string; file: string; ctx: Context; events: Event[] } {
  const folder = join(root, String(made++));
  mkdirSync(folder);
  copyFileSync(new URL("../../../bundled/facts.jsonl", import.meta.url), join(folder, "all.jsonl"));
  const facts = ["Norvane", "Veyra"].map((subject) => ({ prompt: `What is the capital of ${subject}?`, subject, answer: "Sellamere" }));
  writeFileSync(join(folder, "facts.jsonl"), facts.map((fact) => JSON.stringify(fact)).join("\n"));
  const file = join(folder, "lamps.yaml");
  writeFileSync(file, GRID);
  const events: Event[] = [];
  const ctx = defaultContext({ runs: join(folder, "runs"), cache: join(folder, "cache"), threads: 1, log: (event) => events.push(event) });
  return { folder, file, ctx, events };
}
const counts = async (file: string, ctx: Context, records: readonly string[] = []): Promise<[finished: number, older: number]> => {
  const { steps, older } = await gridStatus(openGrid(file, { records }), ctx);
  return [steps.filter(({ state }) => state === "finished").length, older];
};

/** Makes finished runs look as if another build had made them: another code, and the ids that it gives. */
function age(runs: string): void {
  const index = join(runs, ".index", "steps.jsonl");
  let text = readFileSync(index, "utf8");
  for (const { path, record } of listRuns(runs)) {
    const old: RunRecord = { ...record, code: `0${record.code.slice(1, -1)}0`, id: `${record.id.slice(1)}0` };
    writeFileSync(join(path, "record.json"), `${JSON.stringify(old, null, 1)}\n`);
    renameSync(path, join(runs, old.id));
    text = text.replaceAll(record.code, old.code).replaceAll(record.id, old.id);
  }
  writeFileSync(index, text.replaceAll(/,"stamp":"\w+"/g, ""));
}

/** What the grid warned of. */
const said = (events: readonly Event[]): string[] =>
  events.flatMap((event) => (event.kind === "warning" && event.who === "grid" ? [event.text] : []));

describe("another number of threads", () => {
  test("what is finished with it is told in one sentence, by a status, a plan and a report", { timeout: 300_000 }, async () => {
    const { folder, file, ctx, events } = start();
    await runGrid(openGrid(file), ctx);
    expect(said(events)).toEqual([]);
    const told = "5 of the 5 steps are finished with 1 thread. They count with --threads 1.";
    const two: Context = { ...ctx, threads: 2 };
    for (const look of [gridStatus, planGrid, gridRecord] as ((...given: Parameters<typeof gridStatus>) => Promise<unknown>)[]) {
      events.length = 0;
      await look(openGrid(file), two);
      expect(said(events)).toEqual([told]);
    }
    const records = join(folder, "records");
    await copyGrid(openGrid(file), ctx, records);
    events.length = 0;
    expect(await counts(file, { ...two, runs: join(folder, "fresh") }, [records])).toEqual([0, 0]);
    expect(said(events)).toEqual([told]);

    // a run that was removed is not counted, and a grid that is half done with the right number looks no further
    const [judged] = listRuns(ctx.runs).filter(({ record: { step } }) => step === "eval");
    rmSync(judged!.path, { recursive: true });
    events.length = 0;
    await gridStatus(openGrid(file), two);
    expect(said(events)).toEqual([told.replace("5 of", "4 of")]);
    events.length = 0;
    expect(await counts(file, ctx)).toEqual([4, 0]);
    expect(said(events)).toEqual([]);
  });
});

describe("accept", () => {
  test("older records do not count, until a sample gives the same bytes", { timeout: 300_000 }, async () => {
    const { file, ctx, events } = start();
    const before = await runGrid(openGrid(file), ctx);
    expect(before.steps).toEqual({ total: 5, finished: 5 });
    age(ctx.runs);
    events.length = 0;
    expect(await counts(file, ctx)).toEqual([0, 5]);
    expect(said(events)).toEqual([
      "5 of the 5 steps are finished by another build. lethe grid accept FILE --sample 3 checks whether they count.",
    ]);
    expect((await gridRecord(openGrid(file), ctx)).tables[0]!.rows[0]!.cells[1]!.values).toEqual([]);

    const acceptance = await acceptGrid(openGrid(file), ctx, { sample: 1, seed: 3 });
    expect(acceptance.samples.map(({ step }) => step).sort()).toEqual(["edit", "facts", "judged"]); // one of each kind of code
    expect(acceptance.codes.map(({ step, records }) => [step, records])).toEqual([
      ["select", 1],
      ["forget", 2],
      ["eval", 2],
    ]);
    expect(await counts(file, ctx)).toEqual([5, 0]);
    const after = await gridRecord(openGrid(file), ctx);
    expect(after.tables).toEqual(before.tables);
    expect(after.accepted).toEqual([acceptance]);
    expect(listRuns(ctx.runs)).toHaveLength(5); // the sample ran elsewhere
    await expect(acceptGrid(openGrid(file), { ...ctx, runs: join(ctx.runs, "none") }, { sample: 1, seed: 0 })).rejects.toThrow(
      /no step of lamps was finished by another build/,
    );
  });

  test("one record with other bytes is refused by its step and file, and nothing counts", { timeout: 300_000 }, async () => {
    const { file, ctx } = start();
    await runGrid(openGrid(file), ctx);
    const judged = listRuns(ctx.runs).filter(({ record }) => record.step === "eval");
    for (const { path, record } of judged) {
      const samples = join(path, "samples.jsonl");
      writeFileSync(samples, readFileSync(samples, "utf8").replace(/"generation":"[^"]*"/, '"generation":"Other."'));
      const outputs = { ...record.outputs, "samples.jsonl": await hashFile(samples) };
      writeFileSync(join(path, "record.json"), JSON.stringify({ ...record, outputs }));
    }
    rmSync(join(ctx.runs, ".index"), { recursive: true });
    await gridStatus(openGrid(file), ctx);
    age(ctx.runs);
    await expect(acceptGrid(openGrid(file), ctx, { sample: 1, seed: 0 })).rejects.toThrow(
      /judged, \d \(run \w{12}\) gives other bytes .*: samples\.jsonl/,
    );
    expect(await counts(file, ctx)).toEqual([0, 5]);
    expect(existsSync(join(ctx.runs, ".accepted"))).toBe(false);
  });
});

describe("committed records", () => {
  test(
    "a part of a file or folder (`#`) is found by its content: at another place the records count, after a change they do not",
    { timeout: 120_000 },
    async () => {
      const { folder, ctx } = start();
      const authors = fileURLToPath(new URL("../../../studies/authors", import.meta.url));
      const text = `name: parts
steps:
  some: { step: select, data: "tofu:\${here}/authors#forget10", limit: 2 }
  edges: { step: select, data: "pistol:\${here}/contracts.json#A_B" }
`;
      const row = (edge: string, answer: string) => ({ question: `Who signed ${edge}?`, answer, edge });
      const contracts = (at: string, answer: string): void =>
        writeFileSync(join(at, "contracts.json"), JSON.stringify([row("A_B", answer), row("A_C", "Ines")]));
      const placed = (name: string): string => {
        const at = join(folder, name);
        cpSync(authors, join(at, "authors"), { recursive: true });
        contracts(at, "Oskar");
        writeFileSync(join(at, "parts.yaml"), text);
        return join(at, "parts.yaml");
      };
      const [here, there, records] = [placed("here"), placed("there"), join(folder, "records")];
      await runGrid(openGrid(here), ctx);
      expect(await copyGrid(openGrid(here), ctx, records)).toMatchObject({ runs: 2, left: 0 });
      const fresh = (name: string): Context => ({ ...ctx, runs: join(folder, name) });
      expect(await counts(there, fresh("one"), [records])).toEqual([2, 0]);
      contracts(join(folder, "there"), "Marta");
      expect(await counts(there, fresh("two"), [records])).toEqual([1, 0]);
      contracts(join(folder, "here"), "Marta");
      expect(await counts(here, ctx)).toEqual([1, 0]);
      contracts(join(folder, "here"), "Oskar");
      expect(await counts(here, ctx)).toEqual([2, 0]);

      // an older build tells the part by its path: what it finished is found, and counts once it is accepted
      const board = new Board(openGrid(here).unfolded.units, ctx);
      const index = join(ctx.runs, ".index", "steps.jsonl");
      let lines = readFileSync(index, "utf8").replaceAll(/^.*"build".*$/gm, ""); // the present codes of this build
      for (const unit of board.units) {
        const address = (await board.addresses.of(unit))!;
        lines = lines.replaceAll(address, board.addresses.older.get(address)!);
      }
      writeFileSync(index, lines);
      expect(await counts(here, ctx)).toEqual([2, 0]); // not by this address: by resolving
      writeFileSync(index, lines);
      age(ctx.runs);
      expect(await counts(here, ctx)).toEqual([0, 2]);
      await acceptGrid(openGrid(here), ctx, { sample: 1, seed: 0 });
      expect(await counts(here, ctx)).toEqual([2, 0]);
    },
  );

  test(
    "a fresh folder counts them; weights that an open step needs are made again, with the same bytes",
    { timeout: 300_000 },
    async () => {
      const { folder, file, ctx } = start();
      const before = await runGrid(openGrid(file), ctx);
      const records = join(folder, "records");
      expect(await copyGrid(openGrid(file), ctx, records)).toMatchObject({ runs: 5, added: 5, left: 0 });
      expect(await copyGrid(openGrid(file), ctx, records)).toMatchObject({ runs: 5, added: 0 });
      const names = readdirSync(records, { recursive: true, encoding: "utf8" });
      expect(names.some((name) => name.endsWith("samples.jsonl"))).toBe(true);
      expect(names.some((name) => name.endsWith(".safetensors"))).toBe(false);

      const moved = join(folder, "moved"); // another place, other paths
      mkdirSync(moved);
      for (const name of ["facts.jsonl", "lamps.yaml"]) copyFileSync(join(folder, name), join(moved, name));
      const fresh: Context = { ...ctx, runs: join(moved, "runs"), cache: join(moved, "cache") };
      const there = join(moved, "lamps.yaml");
      expect(await counts(there, fresh)).toEqual([0, 0]);
      expect(await counts(there, fresh, [records])).toEqual([5, 0]);
      expect((await gridRecord(openGrid(there, { records: [records] }), fresh)).tables).toEqual(before.tables);
      expect(existsSync(fresh.runs)).toBe(true); // the index alone
      expect(listRuns(fresh.runs)).toEqual([]);

      writeFileSync(
        there,
        GRID.replace(
          "tables:",
          `  asked:\n    step: attack\n    model: bundled\n    edit: ["\${edit}"]\n    data: \${facts}\n    from: [templates]\n    samples: 1\ntables:`,
        ),
      );
      const record = await runGrid(openGrid(there, { records: [records] }), fresh);
      expect(record.failed).toEqual([]);
      const runs = listRuns(fresh.runs).map(({ record: { step } }) => step);
      expect(runs.sort()).toEqual(["attack", "attack", "forget", "forget"]);
      for (const { id, record: again } of listRuns(fresh.runs).filter(({ record: { step } }) => step === "forget"))
        expect(again.outputs).toEqual((JSON.parse(readFileSync(join(records, id, "record.json"), "utf8")) as RunRecord).outputs);

      // a record that tells of other bytes
      const [one] = listRuns(records).filter(({ record: { step, spec } }) => step === "forget" && spec["seed"] === 0);
      const other = { ...one!.record, outputs: { "edit.safetensors": "0".repeat(64) } };
      writeFileSync(join(one!.path, "record.json"), JSON.stringify(other));
      rmSync(fresh.runs, { recursive: true });
      const wrong = await runGrid(openGrid(there, { records: [records], only: { seed: ["0"] } }), fresh);
      expect(wrong.failed[0]).toMatchObject({ step: "edit", reason: expect.stringMatching(/has other results than the committed record/) });
    },
  );
});
