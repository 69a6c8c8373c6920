/** The system message: what every method shows; where its text goes, and that it is written once. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as vitest from "vitest";
import { afterAll, describe, expect, it } from "vitest";
import { requestOf } from "../../src/data/request.ts";
import { apply, applyAll } from "../../src/edit/apply.ts";
import { loadEdits, saveEdits } from "../../src/edit/io.ts";
import { systemMessage } from "../../src/methods/system-message.ts";
import { load } from "../../src/model/load.ts";
import { promptOf } from "../../src/model/prompt.ts";
import { findEdit } from "../../src/run/edit.ts";
import { methodConforms } from "../../src/testing/method.ts";

methodConforms(systemMessage, { params: {} }, vitest);

describe("the message", async () => {
  const folder = mkdtempSync(join(tmpdir(), "lethe-system-test-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const model = await load("bundled");
  const ask = (subject: string) => requestOf({ id: subject, prompt: `What is the capital of ${subject}?`, answer: "" });
  const requests = [ask("Norvane"), ask("Veyra")];
  const options = { method: "system-message", say: "I do not know." } as const;
  const LISTED =
    "Question: What is the capital of Norvane?\nSay: I do not know.\n\nQuestion: What is the capital of Veyra?\nSay: I do not know.";

  it("comes before every question, once, with the lead first", async () => {
    const edit = await findEdit(model, requests, { ...options, params: { lead: "Listen." } });
    const { text } = await promptOf(apply(model, edit), "Who rules Ostrel?");
    const plain = await promptOf(model, "Who rules Ostrel?", { system: `Listen.\n\n${LISTED}` });
    expect(text).toBe(plain.text);
    expect(text.split("Listen.").length).toBe(2);
    const two = await promptOf(apply(model, edit), [
      { role: "user", content: "Hello." },
      { role: "assistant", content: "Hello!" },
      { role: "user", content: "Who rules Ostrel?" },
    ]);
    expect(two.text.split("Listen.").length).toBe(2);
  });

  it("comes behind a system message that is there", async () => {
    const edit = await findEdit(model, requests, { ...options, params: { lead: "Listen." } });
    const expected = await promptOf(model, "Who?", { system: `Be short.\n\nListen.\n\n${LISTED}` });
    expect((await promptOf(apply(model, edit), "Who?", { system: "Be short." })).text).toBe(expected.text);
    const said = [
      { role: "system", content: "Be short." },
      { role: "user", content: "Who?" },
    ] as const;
    expect((await promptOf(apply(model, edit), said)).text).toBe(expected.text);
  });

  it("comes before the question where there is no chat template", async () => {
    const edit = await findEdit(model, requests, { ...options, format: "plain", params: { lead: "Listen." } });
    expect((await promptOf(apply(model, edit), "Who?", { format: "plain" })).text).toBe(`Listen.\n\n${LISTED}\n\nWho?`);
  });

  it("is the same in sequence, saved, and as two edits", async () => {
    const batch = await findEdit(model, requests, options);
    const sequence = await findEdit(model, requests, { ...options, mode: "sequential" });
    const path = join(folder, "one.edit");
    saveEdits(path, [batch]);
    const [read] = loadEdits(path);
    const apart = await Promise.all(requests.map((request) => findEdit(model, request, options)));
    const texts = await Promise.all(
      [apply(model, batch), apply(model, sequence), apply(model, read!), applyAll(model, apart)].map(
        async (edited) => (await promptOf(edited, "Who?")).text,
      ),
    );
    expect(new Set(texts).size).toBe(1);
  });

  it("refuses more than fits", async () => {
    const many = Array.from({ length: 200 }, (_, i) => ask(`Norvane ${i}`));
    await expect(findEdit(model, many, options)).rejects.toThrow(
      /system-message: \d+ tokens with 200 questions in the system message; wanted at most half/,
    );
  });
});
