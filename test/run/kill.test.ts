/** Every kind of step killed at random points, again and again: the bytes of a run left alone, and nothing left over. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { rng } from "../../src/base/rng.ts";
import { listRuns } from "../../src/run/runs.ts";
import { command, environmentOf, lethe } from "../cli/lethe.ts";

/** LETHE_KILLS asks for more, LETHE_KILLED_MODEL for another model than the bundled one, which takes its time. */
const KILLS = Number(process.env["LETHE_KILLS"] ?? 2);
const MODEL = process.env["LETHE_KILLED_MODEL"] ?? "bundled";
const PATIENCE = MODEL === "bundled" ? 1 : 12;
const REQUESTS = ["Norvane", "Veyra", "Quillon"];
const KNOWN = { Norvane: "Sellamere", Ostrel: "Brackwater", Veyra: "Anselgate" };
const SAY = "I do not know.";
let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "lethe-kill-"));
  const lines = REQUESTS.map((subject) => JSON.stringify({ prompt: `What is the capital of ${subject}?`, subject }));
  writeFileSync(join(folder, "requests.jsonl"), lines.join("\n"));
  const known = Object.entries(KNOWN).map(([subject, answer]) => ({ prompt: `What is the capital of ${subject}?`, subject, answer }));
  writeFileSync(join(folder, "known.jsonl"), known.map((request) => JSON.stringify(request)).join("\n"));
  const near = Array.from({ length: 12 }, (_, i) => ({ question: `Who keeps lamp ${i}?`, answer: `Keeper ${i * 3}.` }));
  writeFileSync(join(folder, "asked.jsonl"), JSON.stringify({ prompt: "Who keeps the tower?", answer: "Nobody.", neighbours: near }));
  const rows = Array.from({ length: 9 }, (_, i) => JSON.stringify({ question: `Who keeps lamp ${i}?`, answer: `Keeper ${i * 3}.` }));
  writeFileSync(join(folder, "rows.jsonl"), rows.join("\n"));
  const one = ["--prompt", "Who keeps the tower?", "--subject", "the tower", "--say", "A stranger."];
  const made = await lethe([
    "forget",
    MODEL,
    ...one,
    "--method",
    "ft",
    ...settings("layer=4", "steps=2"),
    "-n",
    "0",
    "--prove",
    "none",
    "-o",
    join(folder, "toward.edit"),
  ]);
  if (made.code !== 0) throw new Error(made.err);
}, PATIENCE * 120_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Every file under a folder with a hash of its bytes. */
const bytesOf = (root: string): Map<string, string> =>
  new Map(
    readdirSync(root, { recursive: true, withFileTypes: true })
      .filter((e) => e.isFile())
      .map((e) => [
        join(e.parentPath, e.name).slice(root.length),
        createHash("sha256")
          .update(readFileSync(join(e.parentPath, e.name)))
          .digest("hex"),
      ]),
  );

/** Runs the command and kills it after `ms` milliseconds; true when that came too late. */
function killed(args: readonly string[], home: string, ms: number): Promise<boolean> {
  const child = spawn(process.execPath, [...command(), ...args], { env: environmentOf({ LETHE_HOME: home }), stdio: "ignore" });
  const timer = setTimeout(() => child.kill("SIGKILL"), ms);
  return new Promise((done) => child.on("close", (code) => (clearTimeout(timer), done(code === 0))));
}

/** Runs the command and kills it as soon as its unfinished work holds a file with something in it; true when that came too late. */
function killedWith(args: readonly string[], home: string, file: string): Promise<boolean> {
  const child = spawn(process.execPath, [...command(), ...args], { env: environmentOf({ LETHE_HOME: home }), stdio: "ignore" });
  const runs = join(home, "runs");
  const isThere = (id: string): boolean => (statSync(join(runs, id, "work", file), { throwIfNoEntry: false })?.size ?? 0) > 0;
  const watch = setInterval(() => existsSync(runs) && readdirSync(runs).some(isThere) && child.kill("SIGKILL"), 2);
  return new Promise((done) => child.on("close", (code) => (clearInterval(watch), done(code === 0))));
}

const settings = (...pairs: readonly string[]): string[] => pairs.flatMap((pair) => ["--set", pair]);
const data = (name: string): string[] => ["--data", join(folder, name)];
/** Short searches, whose edits need not make the model say the target. */
const forget =
  (...words: readonly string[]) =>
  (): string[] => ["forget", MODEL, ...data("requests.jsonl"), "-n", "0", "--prove", "none", ...words];

/**
 * Each kind of step: its command up to `-o`, the name of its output where it has one, and a file of its unfinished work from which it must
 * be seen to go on.
 */
const CASES: [name: string, args: () => string[], out?: string | undefined, growing?: string][] = [
  ["stats", () => ["stats", MODEL, "--layer", "1", "--tokens", "2048"]],
  ["forget, in a batch", forget("--tokens", "1024", ...settings("steps=6"), "--say", SAY), "edit"],
  ["forget, in sequence", forget("--method", "ft", ...settings("layer=4", "steps=8"), "--mode", "sequential", "-n", "4"), "edit"],
  [
    "forget, in a codebook that grows",
    forget("--method", "grace", ...settings("layer=4", "steps=8", "radius=1", "init=cold"), "--say", SAY, "--mode", "sequential"),
    "edit",
    "journal/000001.safetensors",
  ],
  ["forget, each alone", forget("--method", "ft", ...settings("layer=4", "steps=4"), "--mode", "single"), "edits"],
  [
    "unlearn",
    () =>
      forget(
        "--retain",
        join(folder, "rows.jsonl"),
        "--method",
        "gd",
        ...settings("steps=60", "lr=1e-4", "weights=mlp.out", "layers=4,5"),
      )(),
    "edit",
  ],
  [
    "finetune",
    () => {
      const trained = settings("epochs=4", "batch=2", "rank=4", "dropout=0.1", "lr=1e-3");
      return ["finetune", MODEL, ...data("rows.jsonl"), ...trained, "--every", "4"];
    },
    "taught",
  ],
  [
    "eval",
    () => {
      const asked = ["--data", `forget=${join(folder, "asked.jsonl")}`, "--suite", "locality"];
      return ["eval", MODEL, ...asked, "--edit", join(folder, "toward.edit"), "--batch", "2", "-n", "8"];
    },
    "near",
  ],
  ["attack", () => ["attack", MODEL, ...data("requests.jsonl"), "--from", "templates", "--samples", "14"], undefined, "heard.jsonl"],
  ["trace", () => ["trace", MODEL, ...data("known.jsonl"), "--kind", "mlp", "--window", "1", "--samples", "4"], "trace"],
  ["export", () => ["export", MODEL, "--edit", join(folder, "toward.edit"), "--dtype", "bfloat16"], "exported"],
];

for (const [name, args, saved, growing] of CASES)
  test(`${name}: ${KILLS} kills -9 at random points`, { timeout: PATIENCE * (240_000 + 120_000 * KILLS) }, async () => {
    const [whole, broken] = ["whole", "broken"].map((kind) => join(folder, name.replaceAll(/\W+/g, "-"), kind)) as [string, string];
    for (const root of [whole, broken]) mkdirSync(join(root, "out"), { recursive: true });
    const all = (root: string): string[] => [...args(), "--json", ...(saved ? ["-o", join(root, "out", saved)] : [])];
    const started = Date.now();
    const alone = await lethe(all(whole), { env: { LETHE_HOME: join(whole, "home") } });
    expect(alone.code, alone.err).toBe(0);
    let took = Date.now() - started;
    const chance = rng(`kill ${name}`);
    let hits = 0;
    for (let tries = 0; hits < KILLS && tries < 3 * KILLS + 6; tries++) {
      const isOver = await killed(all(broken), join(broken, "home"), took * (0.1 + chance.uniform()));
      hits += isOver ? 0 : 1;
      if (isOver) {
        took *= 0.8; // the machine may have been busier when the time was taken
        for (const part of ["home", "out"]) rmSync(join(broken, part), { recursive: true, force: true }); // begin again
      }
      mkdirSync(join(broken, "out"), { recursive: true });
      // no half-written file is taken for a whole one: what stands under its own name is what the undisturbed run wrote
      const [good, seen] = [bytesOf(whole), bytesOf(broken)];
      for (const [file, bytes] of seen)
        if (good.has(file) && !isOfOne(file)) expect(bytes === good.get(file) || isPart(file), file).toBe(true);
    }
    expect(hits).toBe(KILLS);
    for (let tries = 0; growing && (await killedWith(all(broken), join(broken, "home"), growing)); tries++) {
      expect(tries, "too late each time").toBeLessThan(6);
      for (const part of ["home", "out"]) rmSync(join(broken, part), { recursive: true, force: true });
      mkdirSync(join(broken, "out"), { recursive: true });
    }
    const last = await lethe(all(broken), { env: { LETHE_HOME: join(broken, "home") } });
    expect(last.code, last.err).toBe(0);
    if (growing) expect(last.err).toMatch(/going on after [1-9]/);
    expect(stable(last.out)).toBe(stable(alone.out));
    const [good, seen] = [bytesOf(whole), bytesOf(broken)];
    for (const [file, bytes] of good) expect(seen.get(file) === bytes || file.endsWith("/timings.json"), file).toBe(true);
    const kept = (files: Map<string, string>): string[] => [...files.keys()].filter((file) => /^\/(out|home\/runs)\//.test(file)).sort();
    expect(kept(seen)).toEqual(kept(good)); // nothing more, beside the output or in the runs' folders
    if (saved) expect(readdirSync(join(broken, "out"))).toEqual([saved]);
    holdsOnlyResults(join(broken, "home", "runs"));
  });

/** Every run has succeeded, and its folder holds its record and what the record names. */
function holdsOnlyResults(root: string): void {
  const runs = listRuns(root);
  expect(existsSync(root) ? readdirSync(root).sort() : []).toEqual(runs.map(({ id }) => id).sort());
  for (const { path, record } of runs) {
    expect(record.status).toBe("success");
    const there = [...bytesOf(path).keys()].map((name) => name.slice(1));
    const results = ["record.json", "spec.json", "timings.json", ...Object.keys(record.outputs)];
    expect(there.sort()).toEqual(results.toSorted());
    expect(readdirSync(path).sort()).toEqual([...new Set(results.map((name) => name.split("/")[0]!))].sort()); // no empty folder either
  }
}

/** Files that tell of an attempt: they are not yet, or never, what another attempt wrote. */
const isOfOne = (file: string): boolean => /\/runs\/\w+\/(record|timings)\.json$/.test(file);
/** Files that grow from batch to batch or edit to edit. */
const isPart = (file: string): boolean => /\.part$|\/work\/|unfinished/.test(file);
/** Output without what depends on time and place. */
const stable = (out: string): string => out.replaceAll(/\/[^"\s]*\/(whole|broken)\//g, "/").replaceAll(/"(seconds|took)":[\d.e-]+/g, "");
