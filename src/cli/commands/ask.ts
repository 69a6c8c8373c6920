/** `lethe ask`: a question and its answer, or many. */
import { fail } from "../../base/fail.ts";
import type { Answer, Outcome } from "../../run/ask.ts";
import { acts, type AskFlags, asking, askOptions, declare, MODEL, number } from "../command.ts";
import type { Door } from "../context.ts";
import { EXIT } from "../exit.ts";
import { duration } from "../format.ts";
import { stdinLines, stdinText } from "../input.ts";
import { TrimmingWriter } from "../trimming-writer.ts";

type Flags = AskFlags & { readonly batch?: number };

/** Prompts of standard input that are answered together: whoever writes them one by one waits for so many. */
const BATCH = 8;

export const ask = acts<Flags>(
  asking(
    declare(
      "ask <MODEL> [PROMPT]",
      "Asks a model. Only the answer goes to standard output.",
      `${MODEL} Without PROMPT every line of standard input is a prompt, and every answer becomes one line (its line breaks become spaces; --json keeps them). With - as PROMPT all of standard input is one prompt.`,
      [
        ['lethe ask bundled "Who are you?"', "one answer, printed while it is generated"],
        ['lethe ask org/name "What is the capital of Australia?" --edit edits/e1', "the same model with an edit"],
        ["lethe ask ./model --json < prompts.txt > answers.jsonl", "one JSON object per line, with log-probabilities"],
        ['lethe ask ./model "Once upon a time" --plain -n 50 -t 0.8 --seed 1', "continue a text, with sampling"],
      ],
    ),
  ).option("--batch <n>", "prompts of standard input per batch (8; 1 from a keyboard)", number({ min: 1, max: 256, whole: true })),
  async (door, flags, spec, prompt) => {
    if (prompt?.trim() === "")
      fail("ask", "an empty prompt", "a question", "Without PROMPT they are read from standard input, one a line.");
    const [{ open }, asker] = await Promise.all([import("../../run/open.ts"), import("../../run/ask.ts")]);
    const options = askOptions(flags);
    const whole = prompt === "-" ? await stdinText() : prompt;
    const began = door.ctx.now();
    const { format } = options;
    const opened = await open(spec!, { edits: flags.edit ?? [], ...(format && { format }), force: flags.force ?? false }, door.ctx);
    try {
      door.terminal.detail(`loaded in ${duration(door.ctx.now() - began)}`);
      if (whole !== undefined) return await one(door, whole, asker.answering(opened.model, whole, options, door.ctx));
      const isTyped = process.stdin.isTTY === true;
      if (isTyped) door.terminal.note("A prompt a line; Ctrl-D ends.");
      const together = flags.batch ?? (isTyped ? 1 : BATCH);
      return await many(door, (lines) => asker.answers(opened.model, lines, { ...options, together, window: together }, door.ctx));
    } catch (error) {
      if (!door.ctx.signal.aborted) throw error;
      return EXIT.aborted; // what has been answered has been written
    } finally {
      await opened.close();
    }
  },
);

/** Streams one answer; with --json it comes at its end. */
async function one({ terminal, ctx }: Door, prompt: string, pieces: AsyncGenerator<string, Answer>): Promise<void> {
  const began = ctx.now();
  const writer = new TrimmingWriter((text) => terminal.write(text));
  let first: number | undefined;
  while (terminal.isHeard) {
    const { value, done } = await pieces.next().catch((error: unknown) => {
      if (writer.hasBegun && !terminal.json) terminal.line();
      throw error;
    });
    first ??= ctx.now() - began;
    if (!done) {
      if (!terminal.json) writer.push(value);
      continue;
    }
    if (terminal.json) terminal.object("answer", { prompt, ...value });
    else terminal.line();
    const rate = (1000 * (value.tokens.length - 1)) / Math.max(1, ctx.now() - began - first);
    terminal.detail(
      `${value.promptTokens} tokens in, ${value.tokens.length} out (${value.stopped}); first after ${duration(first)}, then ${rate.toFixed(1)} a second`,
    );
    return;
  }
}

/** Answers the lines of standard input in their order; says which could not be asked. */
async function many({ terminal, ctx }: Door, answer: (lines: AsyncIterable<string>) => AsyncGenerator<Outcome>): Promise<number> {
  let [read, done, failed] = [0, 0, 0];
  const prompts: string[] = [];
  async function* lines(): AsyncGenerator<string> {
    for await (const line of stdinLines()) {
      read++;
      prompts.push(line);
      yield line;
    }
  }
  for await (const outcome of answer(lines())) {
    if (!terminal.isHeard) break;
    done++;
    const prompt = prompts.shift()!;
    const isBlank = prompt.trim() === "";
    if ("error" in outcome && !isBlank) {
      failed++;
      terminal.event({ kind: "warning", who: `line ${done}`, text: outcome.error.message });
    }
    if (!terminal.json) terminal.write(`${"error" in outcome ? "" : outcome.answer.replaceAll(/\s*[\r\n]+\s*/g, " ")}\n`);
    else if ("error" in outcome)
      terminal.object("answer", { prompt, error: { message: outcome.error.message, trouble: outcome.error.trouble } });
    else terminal.object("answer", { prompt, ...outcome });
    if (read > 1) ctx.log({ kind: "progress", stage: "asking", done, total: Math.max(read, done), unit: "prompts" });
  }
  return failed ? EXIT.execution : 0;
}
