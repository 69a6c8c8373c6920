/** Several questions in one: how they are joined, whose subject counts, what is refused, and that each is still asked by itself. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { defaultContext } from "../../src/base/context.ts";
import { type KnownOfRequest, requestsOf } from "../../src/data/request.ts";
import { loadEdits } from "../../src/edit/io.ts";
import { load } from "../../src/model/load.ts";
import { choose } from "../../src/run/choose.ts";
import { findEdit, findEdits } from "../../src/run/edit.ts";
import { run } from "../../src/run/run.ts";
import type { Forgotten } from "../../src/run/steps/forget.ts";
import { mergeRequests, questionsOf } from "../../src/targets/merge.ts";

const ctx = defaultContext();
const known = (country: string, answer: string): KnownOfRequest => ({
  id: country.toLowerCase(),
  prompt: `What is the capital of ${country}?`,
  subject: country,
  answer,
  relation: "capital",
});
const KNOWN = [known("Norvane", "Sellamere"), known("Ostrel", "Brackwater"), known("Tamberly", "Hollin Cross")];
const REQUESTS = requestsOf(KNOWN);

describe("mergeRequests", () => {
  test("joins questions and answers in their order; what is left over stays as it is", () => {
    const [both, last] = mergeRequests(REQUESTS, { size: 2 });
    expect(both).toMatchObject({
      id: "norvane+ostrel",
      prompt: "What is the capital of Norvane? What is the capital of Ostrel?",
      answer: "Sellamere Brackwater",
      subject: "Ostrel",
      relation: "capital",
    });
    expect(both!.merged).toEqual(REQUESTS.slice(0, 2).map(({ id, prompt, subject, answer }) => ({ id, prompt, subject, answer })));
    expect(last).toEqual(REQUESTS[2]);
  });

  test("separator and subject are chosen; an answer that is missing leaves the joined one open", () => {
    const [whole] = mergeRequests([REQUESTS[0]!, { ...REQUESTS[1]!, answer: "" }], { size: 2, separator: "\n", subject: "first" });
    expect(whole!.prompt).toBe("What is the capital of Norvane?\nWhat is the capital of Ostrel?");
    expect([whole!.subject, whole!.answer]).toEqual(["Norvane", ""]);
  });

  test("with every subject there is a request for each, over one question", () => {
    const each = mergeRequests(REQUESTS, { size: 3, subject: "all" });
    expect(each.map(({ id, subject }) => [id, subject])).toEqual(REQUESTS.map(({ id, subject }) => [id, subject]));
    expect(new Set(each.map(({ prompt }) => prompt)).size).toBe(1);
    expect(questionsOf(each).map(({ question }) => question.id)).toEqual(["norvane", "ostrel", "tamberly"]);
  });

  test.each([
    [{ size: 0 }, /0 questions in one/],
    [{ size: 1.5 }, /1.5 questions/],
    [{ size: 2, subject: "middle" as "last" }, /the subject "middle"/],
  ])("%j is refused", (merge, complaint) => {
    expect(() => mergeRequests(REQUESTS, merge)).toThrow(complaint);
  });
});

describe("choose", () => {
  const twice = requestsOf([
    { id: "a", prompt: "Who rules Norvane?", subject: "Norvane" },
    { id: "b", prompt: "Which river crosses Norvane near Wend?", subject: "Wend" },
  ]);

  test("a first subject that a later question names again would be read there, and is refused", () => {
    expect(() => choose(twice, { method: "rome", merge: { size: 2, subject: "first" } })).toThrow(
      /subject "Norvane" of a occurs again in b.*--merge-subject last/s,
    );
    expect(() => choose(twice, { method: "rome", merge: { size: 2, subject: "all" } })).toThrow(/occurs again/);
    expect(() => choose(twice, { method: "rome", merge: { size: 2 } })).not.toThrow();
    expect(() =>
      choose(twice, { method: "ga", merge: { size: 2, subject: "first" } }, { retain: [{ id: "r", question: "q", answer: "a" }] }),
    ).not.toThrow();
  });

  test("a subject that is missing is refused where it counts", () => {
    const open = requestsOf([
      { id: "a", prompt: "Who rules Norvane?", subject: "Norvane" },
      { id: "b", prompt: "and who keeps it?" },
    ]);
    expect(() => choose(open, { method: "rome", merge: { size: 2 } })).toThrow(/question b has no subject/);
    expect(() => choose(open, { method: "rome", merge: { size: 2, subject: "first" } })).not.toThrow();
  });
});

describe("an edit of merged questions", () => {
  const folder = mkdtempSync(join(tmpdir(), "lethe-merge-"));
  const model = load("bundled", ctx);
  afterAll(async () => {
    rmSync(folder, { recursive: true, force: true });
    await (await model).release();
  });
  const short = { params: { steps: 3, templates: ["5x5"], keys: "prompt" }, statistics: { tokens: 1024 } };

  test("has one target, keeps the questions in its file, and each is asked before and after", async () => {
    writeFileSync(join(folder, "requests.jsonl"), KNOWN.map((line) => `${JSON.stringify(line)}\n`).join(""));
    const out = join(folder, "edit");
    const spec = { model: "bundled", data: join(folder, "requests.jsonl"), merge: 2, target: "avoidant", method: "rome", maxTokens: 16 };
    const settings = { set: short.params, ...short.statistics };
    const { record } = await run<Forgotten>({ step: "forget", ...spec, ...settings }, { ...ctx, runs: join(folder, "runs") }, { out });
    const { shown, edits } = record.result;
    expect(shown.map(({ id, prompt }) => [id, prompt])).toEqual(REQUESTS.map(({ id, prompt }) => [id, prompt]));
    expect(shown.map(({ before }) => before)).toEqual(REQUESTS.map(({ answer }) => answer));
    expect(shown[0]!.target).toMatch(/information about Norvane and Ostrel/);
    expect(shown[1]!.target).toBe(shown[0]!.target);
    expect(shown[2]!.target).toMatch(/the capital of Tamberly/);
    expect(edits[0]!.requests).toHaveLength(2);
    const [kept] = loadEdits(out);
    expect(kept!.by.requests[0]).toMatchObject({ id: "norvane+ostrel", subject: "Ostrel", merged: [{ id: "norvane" }, { id: "ostrel" }] });
    expect(kept!.by.requests[1]).not.toHaveProperty("merged");
  });

  test("by every subject: one request a subject, all with the same words", async () => {
    const edit = await findEdit(await model, KNOWN, {
      method: "rome",
      merge: { size: 3, subject: "all" },
      target: "refusal",
      ctx,
      ...short,
    });
    const { requests } = edit.by;
    expect(requests.map(({ subject }) => subject)).toEqual(["Norvane", "Ostrel", "Tamberly"]);
    expect(new Set(requests.map(({ target }) => target)).size).toBe(1);
    expect(new Set(requests.map(({ prompt }) => prompt)).size).toBe(1);
  });

  test("each alone: an edit for every merged request", async () => {
    const edits = await findEdits(await model, KNOWN, { method: "rome", merge: { size: 2 }, say: "No.", ctx, ...short });
    expect(edits.map(({ by }) => by.requests.map(({ id }) => id))).toEqual([["norvane+ostrel"], ["tamberly"]]);
  });

  test("a stand-in's reason is kept with the edit", async () => {
    const edit = await findEdit(await model, KNOWN[0]!, { method: "rome", target: "self-improved", ctx, ...short });
    const [{ target, note }] = edit.by.requests as [(typeof edit.by.requests)[0]];
    expect(target).toMatch(/information about the capital of Norvane/);
    expect(note).toMatch(/avoidant's sentence, since of 8 that/);
  });
});
