/** `lethe chat`: a conversation with a model, or with a model and its edited self side by side. */
import { basename } from "node:path";
import type { Context } from "../../base/context.ts";
import { LetheError, nearest } from "../../base/fail.ts";
import type * as Asking from "../../run/ask.ts";
import type { Answer, Message, Model } from "../../run/ask.ts";
import { acts, type AskFlags, asking, askOptions, declare, MODEL } from "../command.ts";
import { SideBySide } from "../columns.ts";
import type { Door } from "../context.ts";
import { EXIT } from "../exit.ts";
import { duration } from "../format.ts";
import { askLine, stdinLines } from "../input.ts";
import { TrimmingWriter } from "../trimming-writer.ts";

type Asker = typeof Asking;
type Options = ReturnType<typeof askOptions>;

/** One partner of the conversation. */
interface View {
  readonly name: string;
  readonly model: Model;
  messages: Message[];
}

/** How a turn becomes visible: pieces as they form, then the end of each answer. */
interface Screen {
  push(view: Side, piece: string): void;
  end(view: Side): void;
}
type Side = 0 | 1;

interface Talk {
  readonly door: Door;
  readonly asker: Asker;
  readonly views: readonly View[];
  readonly options: Options;
  failed: number;
}

const WORDS = ["/reset", "/exit", "/help"] as const;
const HELP = "/reset starts a new conversation. /exit or Ctrl-D quits. Ctrl-C stops an answer; at the prompt it quits.";

export const chat = acts<AskFlags>(
  asking(
    declare(
      "chat <MODEL>",
      "Starts a conversation. With --edit, the base model and the edited model answer side by side.",
      `${MODEL} Each of the two has its own history. /reset forgets the conversation, /exit leaves. Standard input may be a file: a line is a turn.`,
      [
        ["lethe chat bundled", "a conversation"],
        ["lethe chat ./model --edit edits/e1", "the answers of both models, side by side"],
        ["lethe chat ./model --edit edits/e1 --edit edits/e2", "both edits, the second applied last"],
        ["lethe chat ./model --edit edits/e1 --json < questions.txt", "one JSON object per turn"],
      ],
    ),
  ),
  async (door, flags, spec) => {
    const [{ open }, asker] = await Promise.all([import("../../run/open.ts"), import("../../run/ask.ts")]);
    const options = askOptions(flags);
    const { format } = options;
    const began = door.ctx.now();
    const opened = await open(spec!, { edits: flags.edit ?? [], ...(format && { format }), force: flags.force ?? false }, door.ctx);
    door.terminal.detail(`loaded in ${duration(door.ctx.now() - began)}`);
    const base: View = { name: "base", model: opened.base, messages: [] };
    const edited: View = {
      name: `edited: ${(flags.edit ?? []).map((path) => basename(path)).join(" + ")}`,
      model: opened.model,
      messages: [],
    };
    const talk: Talk = { door, asker, views: flags.edit?.length ? [base, edited] : [base], options, failed: 0 };
    try {
      return await (process.stdin.isTTY ? converse(talk) : read(talk));
    } finally {
      await opened.close();
    }
  },
);

/** A person at the keyboard. */
async function converse(talk: Talk): Promise<number> {
  const { terminal } = talk.door;
  const history: string[] = [];
  terminal.note(HELP);
  for (;;) {
    const said = await askLine("> ", history);
    if (said === "interrupt") return EXIT.aborted;
    if (said === "end" || !terminal.isHeard || (await hear(talk, said.line)) === "exit") return 0;
  }
}

/** Lines of a file or a pipe; Ctrl-C ends all of it. */
async function read(talk: Talk): Promise<number> {
  for await (const line of stdinLines()) if (!talk.door.terminal.isHeard || (await hear(talk, line)) === "exit") break;
  return talk.failed ? EXIT.execution : 0;
}

/** A command, or a turn of the conversation. */
async function hear(talk: Talk, line: string): Promise<"exit" | undefined> {
  const { terminal } = talk.door;
  const text = line.trim();
  if (text === "") return undefined;
  if (!line.startsWith("/")) return turn(talk, text);
  if (text === "/exit" || text === "/quit") return "exit";
  if (text === "/reset") {
    for (const view of talk.views) view.messages = [];
    terminal.note("This is a new conversation.");
  } else if (text === "/help") terminal.note(HELP);
  else {
    const near = nearest(text, WORDS);
    terminal.note(
      `There is no ${text}${near ? `; did you mean ${near}?` : ` (${WORDS.join(", ")})`} A space in front sends it to the model.`,
    );
  }
  return undefined;
}

/** Asks every view; an interrupted answer stays in the history as far as it came. */
async function turn(talk: Talk, text: string): Promise<undefined> {
  const { door, views } = talk;
  const { terminal } = door;
  const answers: (Answer | { answer: string; stopped: "interrupted" })[] = [];
  const screen = screenFor(talk);
  const parts = views.map((view) => {
    view.messages.push({ role: "user", content: text });
    return "";
  });
  const speak = async (ctx: Context): Promise<void> => {
    for (const view of views) await makeRoom(talk, view);
    const open = views.map((view, i) => ({ i, pieces: talk.asker.answering(view.model, view.messages, talk.options, ctx) }));
    const inTurns = screen instanceof SideBySide ? [open] : open.map((one) => [one]);
    for (const group of inTurns)
      for (let live = group; live.length > 0; live = live.filter(({ i }) => !answers[i]))
        for (const one of live) {
          const { value, done } = await one.pieces.next();
          if (!done) {
            parts[one.i] += value;
            screen.push(one.i as Side, value);
            continue;
          }
          answers[one.i] = value;
          screen.end(one.i as Side);
        }
  };
  try {
    await (process.stdin.isTTY ? door.interruptible(speak) : speak(door.ctx));
  } catch (error) {
    if (!(error instanceof LetheError) || error.trouble === "internal" || (error.trouble === "aborted" && !process.stdin.isTTY))
      throw error;
    if (error.trouble !== "aborted") {
      complain(talk, error);
      return undefined;
    }
    views.forEach((_, i) => {
      if (answers[i]) return;
      answers[i] = { answer: parts[i]!.trim(), stopped: "interrupted" };
      screen.end(i as Side);
    });
  }
  views.forEach((view, i) => view.messages.push({ role: "assistant", content: answers[i]!.answer }));
  if (terminal.json)
    terminal.object("turn", { prompt: text, ...(views.length > 1 ? { base: answers[0], edited: answers[1] } : answers[0]) });
  else terminal.line();
  return undefined;
}

/** A turn that cannot be asked is taken back. */
function complain(talk: Talk, error: LetheError): void {
  talk.failed++;
  for (const view of talk.views) view.messages.pop();
  talk.door.terminal.event({ kind: "warning", who: "chat", text: error.message });
}

/** Drops the oldest turns where the conversation would outgrow the model's context. */
async function makeRoom({ asker, options, door }: Talk, view: View): Promise<void> {
  const room = Math.min(options.maxTokens, Math.floor(view.model.config.context / 4));
  let dropped = 0;
  while (view.messages.length > 1 && !(await asker.fits(view.model, view.messages, options, room))) {
    view.messages.splice(0, 2);
    dropped++;
  }
  if (dropped)
    door.terminal.note(
      `The conversation is longer than the model's context: the ${dropped === 1 ? "oldest turn is" : `${dropped} oldest turns are`} left out from here on.`,
    );
}

/** Two columns where a person sees them and they fit; otherwise one answer after another, under their names. */
function screenFor({ door: { terminal }, views }: Talk): Screen {
  const write = (text: string): void => terminal.write(text);
  if (terminal.json) return { push: () => {}, end: () => {} };
  const { columns = 80, rows = 24 } = terminal.out;
  if (views.length > 1 && terminal.isSeen && columns >= SideBySide.least) {
    const two = new SideBySide(columns, rows, (drawn) => terminal.draw(drawn));
    two.head(views[0]!.name, views[1]!.name, (text) => terminal.paint("bold", text, terminal.out));
    return two;
  }
  const writers = views.map(() => new TrimmingWriter(write));
  let begun = -1;
  const begin = (view: number): void => {
    if (begun === view) return;
    begun = view;
    if (views.length > 1) write(`${terminal.paint("bold", `${views[view]!.name}:`, terminal.out)}\n`);
  };
  return {
    push: (view, piece) => {
      begin(view);
      writers[view]!.push(piece);
    },
    end: (view) => {
      begin(view);
      terminal.line();
    },
  };
}
