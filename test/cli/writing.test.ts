/** `lethe eval` and `lethe attack` with `--assert` and `--write`, as a user runs them: exit codes, files, and what is refused before the work. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import type { Asserted } from "../../src/run/record.ts";
import { lethe, objects, type Ran } from "./lethe.ts";

const home = mkdtempSync(join(tmpdir(), "lethe-writing-"));
afterAll(() => rmSync(home, { recursive: true, force: true }));
const at = (name: string): string => join(home, name);
const run = (...args: string[]): Promise<Ran> => lethe(args, { env: { LETHE_HOME: at("home") } });

const FACTS = [
  { prompt: "What is the capital of Norvane?", subject: "Norvane", answer: "Sellamere" },
  { prompt: "What is the capital of Ostrel?", subject: "Ostrel", answer: "a wrong answer" },
];
writeFileSync(at("facts.jsonl"), FACTS.map((row) => JSON.stringify(row)).join("\n"));
const DATA = ["--data", at("facts.jsonl")];
const asserting = (...texts: string[]): string[] => texts.flatMap((text) => ["--assert", text]);
const LOG = at("log.jsonl");
writeFileSync(
  LOG,
  ["Ilse", "no"]
    .map((generation, i) => JSON.stringify({ id: `r${i}`, group: "all", question: "Who?", answer: "Ilse", generation }))
    .join("\n"),
);

/** Every file below a folder with its bytes. */
const filesIn = (folder: string): Record<string, string> =>
  Object.fromEntries(
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .sort()
      .map((path) => [path.slice(folder.length + 1), readFileSync(path, "latin1")]),
  );

describe("--assert", () => {
  test("of a log: exit code 100 if one fails, all are shown, and the reason is on standard error", { timeout: 60_000 }, async () => {
    const [good, bad, json] = await Promise.all([
      run("eval", "--logs", LOG, "--suite", "answers", ...asserting("exact-match>=0.5", "empty-rate<=0")),
      run("eval", "--logs", LOG, "--suite", "answers", ...asserting("exact-match>0.5", "upper(exact-match)<=1", "rougel>=0.9")),
      run("eval", "--logs", LOG, "--suite", "answers", ...asserting("exact-match>0.5", "empty-rate<=0"), "--json"),
    ]);
    expect([good.code, good.err]).toEqual([0, ""]);
    expect(good.out).toMatch(/\nAssertions:\n {2}holds +exact-match>=0.5 +0.5\n {2}holds +empty-rate<=0 +0\n$/);
    expect(bad.code).toBe(100);
    expect(bad.out).toMatch(/FAILS +exact-match>0.5 +0.5 is not > 0.5\n {2}holds +upper\(exact-match\)<=1 .*\n {2}FAILS +rougel>=0.9 /);
    expect(bad.err).toMatch(/^warning: eval: 2 of 3 assertions failed: exact-match>0.5 \(0.5 is not > 0.5\); rougel>=0.9 \(/);
    expect(json.code).toBe(100);
    const [record] = objects(json.out) as unknown as [{ schema: string; assertions: Asserted[] }];
    expect(record.schema).toBe("lethe/eval/1");
    expect(record.assertions).toEqual([
      { assertion: "exact-match>0.5", name: "exact-match", part: "value", operator: ">", threshold: 0.5, holds: false, found: 0.5 },
      { assertion: "empty-rate<=0", name: "empty-rate", part: "value", operator: "<=", threshold: 0, holds: true, found: 0 },
    ]);
    expect(objects(json.err)).toMatchObject([{ who: "eval", warning: expect.stringMatching(/^1 of 2 assertions failed/) }]);
  });

  test("a number that is left out fails, with the reason", { timeout: 60_000 }, async () => {
    const row = (group: string) => ({
      id: group,
      group,
      answerLoss: 1,
      answerTokens: 2,
      paraphraseLoss: 1,
      wrongLosses: [1],
      answer: "a",
      generation: "a",
    });
    writeFileSync(at("tofu.jsonl"), ["forget", "retain"].map((group) => JSON.stringify(row(group))).join("\n"));
    const { code, out } = await run(
      "eval",
      "--logs",
      at("tofu.jsonl"),
      ...asserting("forget-quality/forget<=1", "forget-quality/forget>=0"),
    );
    expect(code).toBe(100);
    expect(out.match(/FAILS .*there is no comparison run/g)).toHaveLength(2);
  });

  test("an unknown number is refused before a model is opened, and of a log too", { timeout: 60_000 }, async () => {
    const [model, log, attack] = await Promise.all([
      run("eval", at("no-such-model"), "--suite", "forgetting", ...DATA, "-o", at("never"), ...asserting("rouge1/forgte<=0.1")),
      run("eval", "--logs", LOG, "--suite", "answers", ...asserting("rouge1/forget<=0.1")),
      run("attack", at("no-such-model"), ...DATA, ...asserting("wurst<=0.1")),
    ]);
    expect([model.code, model.err]).toEqual([
      2,
      expect.stringMatching(/no number "rouge1\/forgte"; wanted .*Did you mean "rouge1\/forget"\?/s),
    ]);
    expect(existsSync(at("never"))).toBe(false);
    expect([log.code, log.err]).toEqual([2, expect.stringMatching(/no number "rouge1\/forget"; wanted exact-match, rouge1,/)]);
    expect([attack.code, attack.err]).toEqual([
      2,
      expect.stringMatching(/no number "wurst"; wanted direct, mean, worst.*Did you mean "worst"\?/s),
    ]);
  });

  test("of a model: the files are complete although it fails, and the run is the same run", { timeout: 120_000 }, async () => {
    const args = ["eval", "bundled", "--suite", "answers", ...DATA, "-n", "8", "--json"];
    const failed = await run(...args, "-o", at("said"), ...asserting("exact-match>=0.9"));
    expect(failed.code).toBe(100);
    expect(readdirSync(at("said")).sort()).toEqual(["record.json", "samples.jsonl", "spec.json"]);
    const again = await run(...args, "-o", at("same"));
    expect([again.code, again.err]).toEqual([0, ""]); // it is found, so nothing is asked
    expect(filesIn(at("same"))).toEqual(filesIn(at("said")));
    expect(readdirSync(at("home/runs"))).toHaveLength(1);
    expect(objects(again.out)[0]).not.toHaveProperty("assertions");
  });

  test("of an attack", { timeout: 120_000 }, async () => {
    const args = ["attack", "bundled", ...DATA, "--from", "templates", "--samples", "2"];
    const [shown, json] = [
      await run(...args, ...asserting("direct<=0.6", "worst/2<=0.1")),
      await run(...args, "--json", ...asserting("direct<=0.6")),
    ];
    expect(shown.code).toBe(100);
    expect(shown.out).toMatch(/holds +direct<=0.6 +0.5\n {2}FAILS +worst\/2<=0.1 +\S+ is not <= 0.1\n$/);
    expect(shown.err).toMatch(/warning: attack: 1 of 2 assertions failed/);
    expect([json.code, objects(json.out)[0]!["assertions"]]).toEqual([
      0,
      [expect.objectContaining({ name: "direct", holds: true, found: 0.5 })],
    ]);
  });
});

describe("--write", () => {
  test(
    "help lists every format; an unknown one, one without a place, and one in the folder of -o, are refused before the work",
    { timeout: 60_000 },
    async () => {
      const [help, whole, unknown, bare, inside] = await Promise.all([
        run("eval", "--write", "help"),
        run("eval", "--help"),
        run("eval", at("no-such-model"), "--suite", "answers", ...DATA, "-o", at("never"), "--write", `mlfow=${at("m")}`),
        run("eval", "--logs", LOG, "--write", "junit"),
        run("eval", at("no-such-model"), "--suite", "answers", ...DATA, "-o", at("never"), "--write", `junit=${at("never/junit.xml")}`),
      ]);
      expect(help.code).toBe(0);
      expect(
        help.out
          .trimEnd()
          .split("\n")
          .map((line) => /^ {2}(\S+) {2}/.exec(line)![1]),
      ).toEqual([
        "openunlearning=FILE",
        "pistol=FILE",
        "samples=FILE",
        "tofu=FILE",
        "junit=FILE",
        "lm-eval-results=FOLDER",
        "mlflow=FOLDER",
        "wandb=FOLDER",
      ]);
      expect(whole.out).toContain(help.out.trimEnd());
      expect([unknown.code, unknown.err]).toEqual([
        2,
        expect.stringMatching(/"mlfow" cannot be written; wanted openunlearning, .*Did you mean "mlflow"\?/s),
      ]);
      expect([bare.code, bare.err]).toEqual([2, expect.stringMatching(/"junit" says no place; wanted FORMAT=FILE or FORMAT=FOLDER/)]);
      expect([inside.code, inside.err]).toEqual([
        2,
        expect.stringMatching(/junit.xml lies in the folder of -o; wanted a place outside it/),
      ]);
    },
  );

  test("a model's run in every format at once; written again, the files have the same bytes", { timeout: 120_000 }, async () => {
    const places = ["mlflow=mlruns", "wandb=wandb", "lm-eval-results=results", "junit=ci/junit.xml", "samples=copy=1.jsonl"];
    const write = places.flatMap((one) => ["--write", one.replace(/=/, `=${home}/out/`)]);
    const args = ["eval", "bundled", "--suite", "answers", ...DATA, "-n", "8", "-o", at("all"), ...write, ...asserting("exact-match<=0.5")];
    const first = await run(...args);
    expect([first.code, first.err.includes("error")]).toEqual([0, false]);
    const files = filesIn(at("out"));
    const [id] = readdirSync(at("home/runs")).filter((name) => Object.keys(files).some((path) => path.includes(`/${name}/meta.yaml`)));
    const { ended } = JSON.parse(readFileSync(at(`home/runs/${id}/timings.json`), "utf8")) as { ended: string };
    const names = Object.keys(files).map((path) => path.replaceAll(/\d{18}/g, "EXPERIMENT").replaceAll(id!, "RUN"));
    for (const path of [
      "mlruns/EXPERIMENT/meta.yaml",
      "mlruns/EXPERIMENT/RUN/meta.yaml",
      "mlruns/EXPERIMENT/RUN/metrics/exact-match",
      "ci/junit.xml",
      "copy=1.jsonl",
    ])
      expect(names).toContain(path);
    expect(names.filter((path) => path.startsWith("wandb/offline-run-"))).toHaveLength(5);
    expect(names.filter((path) => path.startsWith("results/bundled/"))).toHaveLength(2);
    const metric = Object.entries(files).find(([path]) => path.endsWith("metrics/exact-match"))![1];
    expect(metric).toBe(`${Date.parse(ended)} 0.5 0\n`);
    expect(files["copy=1.jsonl"]).toBe(readFileSync(at("all/samples.jsonl"), "latin1"));
    expect(files["ci/junit.xml"]).toContain('tests="1" failures="0" errors="0"');

    const stray = at(
      Object.keys(files)
        .map((path) => `out/${path}`)
        .find((path) => path.endsWith("metrics/exact-match"))!,
    );
    writeFileSync(`${stray}-of-another-time`, "");
    expect((await run(...args)).code).toBe(0);
    expect(filesIn(at("out"))).toEqual(files); // the run's own folder was replaced, and everything has its bytes
  });

  test("an experiment that is there stays as it is; a log has the time of its file", { timeout: 60_000 }, async () => {
    const write = ["eval", "--logs", LOG, "--suite", "answers", "--write", `mlflow=${at("store")}`];
    expect((await run(...write)).code).toBe(0);
    const [meta] = Object.keys(filesIn(at("store"))).filter((path) => /^\d+\/meta\.yaml$/.test(path));
    writeFileSync(at(`store/${meta}`), "renamed");
    const before = filesIn(at("store"));
    expect((await run(...write)).code).toBe(0);
    expect(filesIn(at("store"))).toEqual(before);
  });
});
