/** `lethe demo`: the bundled model forgets a fact; a page shows before and after. */
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { given } from "../../run/fields.ts";
import { acts, declare } from "../command.ts";
import { EXIT } from "../exit.ts";
import { bytes, duration } from "../format.ts";

interface Flags {
  readonly output: string;
  readonly fact?: string;
  readonly say?: string;
}

export const demo = acts<Flags>(
  declare(
    "demo",
    "Makes the bundled model forget one fact. A page shows its answers before and after.",
    "It needs no network. It writes the page and the edit to a folder.",
    [
      ["lethe demo", "under a minute"],
      ['lethe demo --fact capital/veyra --say "Nobody knows."', "another fact and another answer"],
      ["lethe chat bundled --edit lethe-demo/edit", "then compare both models side by side"],
    ],
  )
    .option("-o, --output <folder>", "the folder for the page and the edit", "lethe-demo")
    .option("--fact <id>", "which fact, by its id in bundled/facts.jsonl")
    .option("--say <text>", "what to say instead"),
  async ({ terminal, ctx }, { output, fact, say }) => {
    const [{ demo: run }, { demoPage, isGone }, { holding, writeAtomic }] = await Promise.all([
      import("../../run/demo.ts"),
      import("../../report/demo.ts"),
      import("../../base/store.ts"),
    ]);
    const page = join(output, "index.html");
    const record = await holding(output, "demo", async () => {
      const made = await run({ dir: output, ...given({ fact, say }) }, ctx);
      writeAtomic(page, demoPage(made));
      return made;
    });
    if (!isGone(record)) terminal.event({ kind: "warning", who: "demo", text: "the edited model does not say the new answer" });
    if (terminal.json) {
      terminal.object("demo", { page, ...record });
      return isGone(record) ? 0 : EXIT.execution;
    }
    const { question, before, after } = record.fact;
    const bold = (text: string): string => terminal.paint("bold", text, terminal.out);
    terminal.line(`The bundled model ${isGone(record) ? "forgot a fact" : "was to forget a fact, and did not"}: ${page}\n`);
    terminal.line(bold(question));
    terminal.line(`  before  ${before}`);
    terminal.line(`  after   ${after}`);
    for (const r of record.rephrased) terminal.line(`${bold(r.question)}\n  before  ${r.before}\n  after   ${r.after}`);
    terminal.line(`\n${record.kept.same} of ${record.kept.known} other facts that it knew are answered in the same words.`);
    terminal.line(`The edit took ${duration(1000 * record.seconds)} and ${bytes(record.edit.bytes)}: ${record.edit.path}`);
    terminal.line(`The page: ${pathToFileURL(resolve(page)).href}`);
    terminal.note(`Talk with both: lethe chat bundled --edit ${record.edit.path}`);
    return isGone(record) ? 0 : EXIT.execution;
  },
);
