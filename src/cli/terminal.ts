/** What goes where: answers on standard output; progress, notes, warnings and errors on standard error. */
import { randomBytes } from "node:crypto";
import type { Event } from "../base/context.ts";
import { visible, visibleLine } from "../base/visible.ts";
import type { Ending } from "./exit.ts";
import { bytes, count, duration } from "./format.ts";

/** The part of a stream that is used here; a test gives its own. */
export interface Stream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
  /** Whether somebody may still read it; undefined counts as yes. */
  readonly isOpen?: boolean;
  write(text: string): unknown;
}

export interface TerminalOptions {
  readonly json: boolean;
  readonly quiet: boolean;
  readonly verbose: boolean;
  readonly out: Stream;
  readonly err: Stream;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly now: () => number;
}

export type Style = "bold" | "dim" | "red" | "green" | "yellow" | "cyan";
const CODES: Readonly<Record<Style, readonly [on: number, off: number]>> = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
};

type Progress = Event & { readonly kind: "progress" };

/** Milliseconds: between redraws, before a first plain line, between plain lines, between JSON lines. */
const PACE = { redraw: 100, first: 2_000, plain: 10_000, json: 1_000 };
const BAR = 20;

export class Terminal {
  readonly json: boolean;
  readonly quiet: boolean;
  readonly verbose: boolean;
  readonly out: Stream;
  private readonly err: Stream;
  /** Tells the codes of our styles from whatever stands in the text of others. */
  private readonly mark = `\u001b${randomBytes(8).toString("hex")}`;
  private readonly env: TerminalOptions["env"];
  private readonly now: () => number;
  private stage = "";
  private began = { at: 0, done: 0 };
  private told = -Infinity;
  private hasSpoken = false;
  private isLive = false;
  private latest: { event: Progress; eta: number | undefined } | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor({ json, quiet, verbose, out, err, env, now }: TerminalOptions) {
    [this.json, this.quiet, this.verbose] = [json, quiet, verbose];
    [this.out, this.err, this.env, this.now] = [out, err, env, now];
  }

  /** Whether a person sees standard output, so that it may be rewritten. */
  get isSeen(): boolean {
    return this.out.isTTY === true && this.env["TERM"] !== "dumb";
  }

  /** Whether answers still go somewhere: whoever only speaks may stop when they do not. */
  get isHeard(): boolean {
    return this.out.isOpen !== false;
  }

  /** What a model says, on standard output: as it is for a file or a program, and visible for a person. */
  write(text: string): void {
    this.draw(this.out.isTTY ? this.shown(text) : text);
  }

  /** A line of a report. */
  line(text = ""): void {
    this.draw(`${this.shown(text)}\n`);
  }

  /** Our own control sequences on standard output; the text between them is visible already. */
  draw(text: string): void {
    this.clear();
    this.out.write(text.replaceAll(this.mark, "\u001b"));
  }

  /** One JSON object on a line of its own. */
  object(schema: string, value: object): void {
    this.line(JSON.stringify({ schema: `lethe/${schema}/1`, ...value }));
  }

  note(text: string): void {
    this.event({ kind: "note", who: "", text });
  }

  /** A note that only -v shows. */
  detail(text: string): void {
    if (this.verbose) this.note(text);
  }

  /** Shows what happened on the way; the `log` of a command's context. */
  event(event: Event): void {
    if (event.kind === "progress") return this.progress(event);
    if (this.quiet && event.kind !== "warning") return;
    if (this.json) {
      const { kind, who, text, ...told } = event;
      return this.complain(JSON.stringify(kind === "whole" ? { [who]: told } : { [kind]: text, who }));
    }
    const text = event.who ? `${event.who}: ${event.text}` : event.text;
    this.complain(event.kind === "warning" ? `${this.paint("yellow", "warning:")} ${text}` : this.paint("dim", text));
  }

  /** Says why the command ended. */
  end({ message, hint, trouble, code, stack }: Ending): void {
    if (this.json) return this.complain(JSON.stringify({ error: { message, hint, trouble, code } }));
    if (trouble === "aborted") return this.complain(`stopped. ${hint}`);
    if (message) this.complain(`${this.paint("red", "error:")} ${message}`);
    if (hint) this.complain(`       ${hint}`);
    if (stack !== undefined && this.verbose) this.complain(this.paint("dim", stack));
  }

  /** Text in a style where the stream (standard error unless told otherwise) shows colours. */
  paint(style: Style, text: string, stream: Stream = this.err): string {
    const [on, off] = CODES[style];
    return this.hasColour(stream) ? `${this.mark}[${on}m${text}${this.mark}[${off}m` : text;
  }

  /** Text with our styles, and whatever else would steer the terminal as its code. */
  private shown(text: string): string {
    const [first = "", ...styled] = text.split(this.mark);
    const rest = styled.map((part) => {
      const end = part.indexOf("m") + 1;
      return `\u001b${part.slice(0, end)}${visible(part.slice(end))}`;
    });
    return [visible(first), ...rest].join("");
  }

  /** Takes the progress line away. */
  clear(): void {
    if (this.isLive) this.err.write("\r\u001b[2K");
    this.isLive = false;
  }

  private hasColour(stream: Stream): boolean {
    const forced = this.env["FORCE_COLOR"];
    if (forced !== undefined) return forced !== "0" && forced !== "false";
    return !this.env["NO_COLOR"] && stream.isTTY === true && this.env["TERM"] !== "dumb";
  }

  private complain(text: string): void {
    this.clear();
    this.err.write(`${this.shown(text)}\n`);
  }

  private progress(event: Progress): void {
    if (this.quiet) return;
    const now = this.now();
    const { stage, done, total } = event;
    if (stage !== this.stage || done < this.began.done) {
      this.clear();
      [this.stage, this.began, this.told, this.hasSpoken] = [stage, { at: now, done }, -Infinity, false];
    }
    const isOver = done >= total;
    const eta = done > this.began.done && !isOver ? ((now - this.began.at) / (done - this.began.done)) * (total - done) : undefined;
    if (this.json) {
      if (now - this.told < PACE.json && !isOver) return;
      this.told = now;
      return this.complain(
        JSON.stringify({ progress: { ...event, kind: undefined, ...(eta !== undefined && { secondsLeft: Math.round(eta / 100) / 10 }) } }),
      );
    }
    if (this.err.isTTY && this.env["TERM"] !== "dumb") return this.redraw(event, now, eta, isOver);
    this.plain(event, now, eta, isOver);
  }

  /** Lines where nothing can be rewritten: soon when something takes long, then seldom. */
  private plain(event: Progress, now: number, eta: number | undefined, isOver: boolean): void {
    clearTimeout(this.timer);
    this.latest = { event, eta };
    const say = (): void => {
      const { event: last, eta: left } = this.latest!;
      [this.told, this.hasSpoken] = [this.now(), true];
      this.complain([last.stage, facts(last, left).join(", ")].filter(Boolean).join(": "));
    };
    if (isOver) return void (this.hasSpoken && say());
    if (this.told === -Infinity) this.told = now;
    const left = this.told + (this.hasSpoken ? PACE.plain : PACE.first) - now;
    if (left <= 0) say();
    else if (!this.hasSpoken) this.timer = setTimeout(say, left).unref(); // nothing else may happen for a while
  }

  private redraw(event: Progress, now: number, eta: number | undefined, isOver: boolean): void {
    if (isOver) return this.clear();
    if (now - this.told < PACE.redraw) return;
    this.told = now;
    const filled = Math.round((BAR * event.done) / Math.max(1, event.total));
    const bar = event.total === 1 ? "…" : `  ${"█".repeat(filled)}${"░".repeat(BAR - filled)}  `;
    const line = visibleLine(`${event.stage}${bar}${facts(event, eta).join("  ")}`);
    this.err.write(`\r\u001b[2K${line.slice(0, (this.err.columns ?? 80) - 1)}`);
    this.isLive = true;
  }
}

/** Share, amount, time left and detail of a progress event. */
function facts({ done, total, unit, detail }: Progress, eta: number | undefined): string[] {
  if (total === 1) return detail ? [detail] : [];
  const amount = unit === "bytes" ? `${bytes(done)} of ${bytes(total)}` : `${count(done)} of ${count(total)}${unit ? ` ${unit}` : ""}`;
  return [
    `${Math.floor((100 * done) / Math.max(1, total))} %`,
    amount,
    ...(eta === undefined ? [] : [`${duration(eta)} left`]),
    ...(detail ? [detail] : []),
  ];
}
