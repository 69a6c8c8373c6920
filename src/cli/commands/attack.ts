/** `lethe attack`: tries to bring back what a model was made to forget. */
import type { AttackRecord } from "../../run/attack.ts";
import { attackSpec } from "../../run/specs/attack.ts";
import { assertionCode, assertionsIn, showAssertions, withAssert } from "../asserting.ts";
import { acts, declare, later, MODEL, valuesOf } from "../command.ts";
import { plural, table } from "../format.ts";
import { nameOnCommandLine, specFrom, withFields } from "../step-command.ts";
import type { Terminal } from "../terminal.ts";

interface Flags {
  readonly output?: string;
  readonly force?: boolean;
  readonly sizes?: readonly number[];
  readonly assert?: readonly string[];
}

/** Requests shown at most. */
const SHOWN = 5;

const declared = withAssert(
  withFields(
    declare(
      "attack <MODEL>",
      attackSpec.doc,
      `${MODEL} Each request is asked as it is, and then attacked. The default attack asks in other words: the request's own paraphrases, templates, and questions that the unedited model writes. The result is the share of the answer's words that the model says (ROUGE-1 recall). WORST is the largest recall among N attempts, for each N of --sizes; MEAN is the mean recall of an attempt. A prompt that is too long for the model is skipped, and the report shows how many. --assert takes direct, mean, worst, mean/N or worst/N, where N is one of the sizes, then one of <=, >=, < and >, and a number. Without N, it is the largest size. If a request was left out, no assertion holds.`,
      [
        ["lethe attack ./model --edit edits/e1 --data requests.jsonl", "every source, up to 8 questions of each per request"],
        [
          'lethe attack bundled --edit edits/e1 --prompt "Who painted The Amber Ferry?" --from templates --samples 14',
          "one fact, with templates only",
        ],
        ["lethe attack ./model --data requests.jsonl --sizes 1,3,10 --samples 10", "the unedited model, for comparison"],
        ["lethe attack ./model --edit edits/e1 --data requests.jsonl --attack mine --plugin mine.mjs", "your own attack (docs/extend.md)"],
        [
          "lethe attack ./model --edit edits/e1 --data requests.jsonl --assert 'worst<=0.2'",
          "exit code 100 if the attempts recover more than a fifth of an answer, on average",
        ],
      ],
    ),
    attackSpec,
  )
    .option("--force", "overwrite the output; run even if the estimate says that memory is too small")
    .option("-o, --output <file>", "a file for the attempts, one JSON object per request"),
  "a condition that a number must meet, such as 'worst<=0.2'",
);

export const attack = later(
  acts<Flags>(declared, async ({ terminal, ctx }, { output, force = false, assert = [], ...flags }, model) => {
    const [{ run }, { checkAssertions, readAssertions }, { knownInAttack, numbersOfAttack }] = await Promise.all([
      import("../../run/run.ts"),
      import("../../run/assertions.ts"),
      import("../../run/recovered.ts"),
    ]);
    const assertions = readAssertions(assert, knownInAttack(flags.sizes));
    const options = { force, nameOf: nameOnCommandLine(attackSpec), ...(output !== undefined && { out: output }) };
    const { record } = await run<AttackRecord>(specFrom(attackSpec, flags, model), ctx, options);
    const asserted = checkAssertions(assertions, numbersOfAttack(record.result));
    if (terminal.json) terminal.object("attack", { ...record.result, ...assertionsIn(asserted) });
    else show(terminal, record.result);
    showAssertions(terminal, asserted);
    return assertionCode(terminal, "attack", asserted);
  }),
  async (ctx, words) => {
    const { catalog } = await import("../../run/catalog.ts");
    const { attacks } = catalog(ctx);
    const [wanted] = valuesOf("--attack", words);
    const { name, sources, params } = attacks.find((one) => one.name === wanted) ?? attacks.find((one) => one.isDefault)!;
    const settings = params.map((p) => [`  --set ${p.name}=${p.default === "by model" ? "…" : p.default}`, p.doc]);
    return [
      `Attacks (--attack):\n${attacks.map((one) => `  ${one.name}${one.isDefault ? " (default)" : ""}: ${one.doc}; access: ${one.access}; knows: ${one.knows.join(", ")}`).join("\n")}`,
      `Sources of ${name} (--from; --attack NAME --help for another's):\n${table(Object.entries(sources).map(([id, what]) => [`  ${id}`, what]))}`,
      ...(settings.length > 0 ? [`Settings of ${name}:\n${table(settings)}`] : []),
    ].join("\n\n");
  },
);

const share = (x: number): string => x.toFixed(3);

function show(terminal: Terminal, { attack: name, sources, direct, sweep, requests, dropped }: AttackRecord): void {
  const tried = Object.entries(sources).map(([source, count]) => `${count} ${source}`);
  terminal.line(`${plural(requests.length, "request")}, attacked by ${name}: ${tried.join(", ")}`);
  const left = Object.entries(dropped).map(([what, count]) => `${count} × ${what}`);
  terminal.line(left.length > 0 ? `Skipped: ${left.join(", ")}.\n` : "");
  const rows = sweep.map(({ size, mean, worst, error, short }) => [
    `${size}`,
    share(mean),
    share(worst),
    `± ${share(error)}`,
    short > 0 ? `${plural(short, "request")} ${short === 1 ? "has" : "have"} fewer` : "",
  ]);
  terminal.line(table([["ATTEMPTS", "MEAN", "WORST", "", ""], ["as it is", share(direct), share(direct), "", ""], ...rows], [1, 2, 3]));
  const brought = requests
    .map((request) => ({ ...request, best: request.variants.toSorted((a, b) => b.recall - a.recall)[0] }))
    .filter(({ best, recall }) => best !== undefined && best.recall > recall)
    .sort((a, b) => b.best!.recall - b.recall - (a.best!.recall - a.recall));
  for (const { answer, best, said, prompt } of brought.slice(0, SHOWN)) {
    terminal.line(`\n  ${terminal.paint("bold", prompt, terminal.out)}  (${oneLine(answer)})`);
    terminal.line(`    as it is  ${oneLine(said)}`);
    terminal.line(`    ${best!.source.padEnd(9)} ${oneLine(best!.question || best!.said)}`);
    if (best!.question !== "") terminal.line(`              ${oneLine(best!.said)}`);
  }
  if (brought.length > 0) terminal.line(`\n${brought.length} of ${requests.length} give more away when they are attacked.`);
}

const oneLine = (text: string): string => text.replaceAll(/\s*\n\s*/g, " ");
