/** What goes where: streams, colours, progress on a terminal, in a log, as JSON. */
import { describe, expect, test, vi } from "vitest";
import { CommanderError } from "commander";
import { LetheError, type Trouble } from "../../src/base/fail.ts";
import { EXIT, endingOf } from "../../src/cli/exit.ts";
import { bytes, duration, plural, table } from "../../src/cli/format.ts";
import { Terminal, type TerminalOptions } from "../../src/cli/terminal.ts";
import { TrimmingWriter } from "../../src/cli/trimming-writer.ts";

const screen = (over: Partial<TerminalOptions> & { tty?: boolean } = {}) => {
  const [out, err] = [[] as string[], [] as string[]];
  const clock = { ms: 0 };
  const { tty = false, ...rest } = over;
  const stream = (to: string[]) => ({ isTTY: tty, columns: 64, rows: 10, write: (text: string) => to.push(text) });
  const terminal = new Terminal({
    json: false,
    quiet: false,
    verbose: false,
    out: stream(out),
    err: stream(err),
    env: {},
    now: () => clock.ms,
    ...rest,
  });
  return { terminal, out, err, clock };
};
const step = (done: number, total = 10, stage = "work") => ({ kind: "progress", stage, done, total, unit: "tokens" }) as const;

describe("streams", () => {
  test("answers alone on standard output", () => {
    const { terminal, out, err } = screen();
    terminal.line("Canberra");
    terminal.note("a note");
    terminal.event({ kind: "warning", who: "edit", text: "odd" });
    terminal.end(endingOf(new LetheError("ask", "nothing", "something", "Try again.", "usage"), false)!);
    expect(out.join("")).toBe("Canberra\n");
    expect(err.join("")).toBe("a note\nwarning: edit: odd\nerror: ask: nothing; wanted something.\n       Try again.\n");
  });

  test("quiet: no notes and no progress, but warnings", () => {
    const { terminal, err } = screen({ quiet: true, tty: true, env: { NO_COLOR: "1" } });
    terminal.note("a note");
    terminal.event(step(1));
    terminal.event({ kind: "warning", who: "", text: "odd" });
    expect(err.join("")).toBe("warning: odd\n");
  });

  test("JSON: one object a line, on both streams", () => {
    const { terminal, out, err } = screen({ json: true });
    terminal.object("answer", { answer: "x\ny" });
    terminal.event(step(0));
    terminal.event({ kind: "warning", who: "edit", text: "odd" });
    terminal.end(endingOf(new LetheError("ask", "a", "b", "c", "memory"), false)!);
    expect(out.map((line) => JSON.parse(line))).toEqual([{ schema: "lethe/answer/1", answer: "x\ny" }]);
    expect(err.map((line) => JSON.parse(line) as unknown)).toEqual([
      { progress: { stage: "work", done: 0, total: 10, unit: "tokens" } },
      { warning: "odd", who: "edit" },
      { error: { message: "ask: a; wanted b.", hint: "c", trouble: "memory", code: 3 } },
    ]);
  });

  test.each([
    [true, {}, true],
    [false, {}, false],
    [true, { NO_COLOR: "1" }, false],
    [false, { FORCE_COLOR: "1" }, true],
    [true, { FORCE_COLOR: "0" }, false],
    [true, { TERM: "dumb" }, false],
  ])("colour: terminal %s, environment %o", (tty, env, isColoured) => {
    const { terminal, out } = screen({ tty, env });
    terminal.line(terminal.paint("red", "x", terminal.out));
    expect(out.join("")).toBe(isColoured ? "\u001b[31mx\u001b[39m\n" : "x\n");
  });
});

describe("text of others", () => {
  const FOREIGN = "a\u001b]0;title\u0007\u001b[2J\u001b[31mred\u009b1m\rover\u202eback\ud800";
  const SEEN = "a\\u001b]0;title\\u0007\\u001b[2J\\u001b[31mred\\u009b1m\\u000dover\\u202eback\\ud800";

  test.each([true, false])("steers nothing: terminal %s", (tty) => {
    const { terminal, out, err, clock } = screen({ tty, env: {} });
    terminal.line(FOREIGN);
    terminal.line(
      table([
        ["A", "B"],
        [FOREIGN, "x\ny"],
      ]),
    );
    terminal.note(FOREIGN);
    terminal.event({ kind: "warning", who: FOREIGN, text: FOREIGN });
    terminal.end(endingOf(new LetheError("ask", FOREIGN, FOREIGN, FOREIGN, "usage"), false)!);
    terminal.event({ kind: "progress", stage: FOREIGN.slice(0, 10), done: 0, total: 2, detail: FOREIGN });
    clock.ms += 60_000;
    terminal.event({ kind: "progress", stage: FOREIGN.slice(0, 10), done: 1, total: 2, detail: FOREIGN });
    const text = [...out, ...err]
      .join("")
      .replaceAll("\r\u001b[2K", "")
      .replaceAll("\u001b", "ESC")
      .replaceAll(/ESC\[(1|2|22|31|33|39)m/g, "")
      .replaceAll("ESC", "\u001b");
    expect(text).not.toMatch(/(?!\n)[\p{Cc}\p{Cs}\u202e]/u);
    expect(out[0]).toBe(`${SEEN}\n`);
    expect(out[1]).toContain("x\\u000ay");
    expect(text).toContain(`warning: ${SEEN}: ${SEEN}\n`);
  });

  test("a colour of a file is no colour of ours", () => {
    const { terminal, out } = screen({ tty: true });
    terminal.line(`${terminal.paint("bold", "\u001b[31mx", terminal.out)} \u001b[31my`);
    expect(out.join("")).toBe("\u001b[1m\\u001b[31mx\u001b[22m \\u001b[31my\n");
  });

  test("what a model says is visible to a person, and exact for a program", () => {
    const [person, program] = [screen({ tty: true }), screen()];
    for (const { terminal } of [person, program]) terminal.write("x\u001b[2Jy");
    expect(person.out.join("")).toBe("x\\u001b[2Jy");
    expect(program.out.join("")).toBe("x\u001b[2Jy");
  });

  test("JSON has the same values", () => {
    const { terminal, out } = screen({ json: true });
    terminal.object("answer", { answer: FOREIGN });
    expect(out.join("")).not.toMatch(/(?!\n)[\p{Cc}\p{Cs}\u202e]/u);
    expect(JSON.parse(out.join(""))).toMatchObject({ answer: FOREIGN });
  });
});

describe("progress", () => {
  test("on a terminal: one line, rewritten, at most ten times a second, gone before anything else is written", () => {
    const { terminal, out, err, clock } = screen({ tty: true, env: { NO_COLOR: "1" } });
    for (let done = 0; done <= 4; done++) {
      terminal.event(step(done));
      clock.ms += 50;
    }
    expect(err).toHaveLength(3); // at 0, 100 and 200 ms
    expect(err.at(-1)).toBe("\r\u001b[2Kwork  ████████░░░░░░░░░░░░  40 %  4 of 10 tokens  0.3 s left");
    terminal.line("answer");
    expect(err.at(-1)).toBe("\r\u001b[2K");
    expect(out).toEqual(["answer\n"]);
    for (const text of err) expect(text.length).toBeLessThanOrEqual(63 + "\r\u001b[2K".length);
  });

  test("in a log: the first line when something takes long, even if nothing more happens, then seldom; short work says nothing", () => {
    vi.useFakeTimers();
    try {
      const { terminal, err, clock } = screen();
      terminal.event(step(0, 10, "short"));
      clock.ms = 500;
      terminal.event(step(10, 10, "short"));
      expect(err).toEqual([]);
      terminal.event(step(0));
      clock.ms += 2000;
      vi.advanceTimersByTime(2000);
      expect(err).toEqual(["work: 0 %, 0 of 10 tokens\n"]);
      for (let done = 1; done <= 4; done++) {
        clock.ms += 4000;
        terminal.event(step(done));
      }
      clock.ms += 1;
      terminal.event(step(10));
      expect(err.slice(1)).toEqual(["work: 30 %, 3 of 10 tokens, 33 s left\n", "work: 100 %, 10 of 10 tokens\n"]);
    } finally {
      vi.useRealTimers();
    }
  });
});

describe("endings", () => {
  test.each(Object.entries(EXIT))("%s ends with %i", (trouble, code) => {
    expect(endingOf(new LetheError("a", "b", "c", "d", trouble as Trouble), false)?.code).toBe(code);
  });
  test("the contract's numbers", () => {
    expect(EXIT).toEqual({ internal: 1, usage: 2, unavailable: 3, memory: 3, execution: 4, aborted: 130 });
  });
  test("commander's own, an error of ours, and whatever comes after Ctrl-C", () => {
    expect(endingOf(new CommanderError(1, "commander.unknownOption", "error: unknown option '--x'"), false)).toMatchObject({
      code: 2,
      message: "unknown option '--x'",
    });
    expect(endingOf(new CommanderError(0, "commander.helpDisplayed", "(outputHelp)"), false)).toBeUndefined();
    expect(endingOf(new RangeError("deep"), false)).toMatchObject({ code: 1, message: "RangeError: deep" });
    expect(endingOf(new RangeError("deep"), true)?.code).toBe(130);
  });
});

describe("errors of the system that nobody translated", () => {
  const raised = (code: string, more: object = {}): Error =>
    Object.assign(new Error(`${code}: x`), { code, syscall: "open", path: "a/b", ...more });
  test.each([
    ["ENOSPC", "the disk is full"],
    ["EROFS", "the file system is read-only"],
    ["ELOOP", "the links run in a circle"],
    ["ENAMETOOLONG", "a name in the path is too long"],
    ["ENOTDIR", "a part of the path is a file"],
    ["EMFILE", "too many files are open"],
    ["EXDEV", "the two paths are on different disks"],
    ["EWEIRD", "the system reports EWEIRD"],
  ])("%s", (code, words) => {
    expect(endingOf(raised(code), false)).toMatchObject({ code: 3, message: `a/b: ${words}.`, trouble: "unavailable" });
  });

  test("no room for a library or an array is a matter of memory; other errors stay ours", () => {
    const lib = new Error("libx.so: failed to map segment from shared object");
    expect(endingOf(lib, false)).toMatchObject({ code: 3, trouble: "memory" });
    expect(endingOf(new RangeError("Array buffer allocation failed"), false)).toMatchObject({ code: 3, trouble: "memory" });
    expect(endingOf(raised("ERR_INVALID_ARG_TYPE"), false)).toMatchObject({ code: 1, trouble: "internal" });
  });
});

test("numbers for people", () => {
  expect([bytes(512), bytes(8400), bytes(2_690_000), bytes(1.4e9), bytes(2.1e10)]).toEqual([
    "512 B",
    "8.4 kB",
    "2.7 MB",
    "1.4 GB",
    "21 GB",
  ]);
  expect([
    duration(0),
    duration(9_900),
    duration(9_999),
    duration(99_400),
    duration(100_000),
    duration(1_300_000),
    duration(7_500_000),
  ]).toEqual(["0.0 s", "9.9 s", "10 s", "99 s", "1 min 40 s", "21 min", "2 h 5 min"]);
  expect([plural(1, "edit"), plural(0, "edit"), plural(1234, "row")]).toEqual(["1 edit", "0 edits", "1,234 rows"]);
  expect(
    table(
      [
        ["A", "SIZE"],
        ["long name", "7"],
      ],
      [1],
    ),
  ).toBe("A          SIZE\nlong name     7");
});

test("an answer as it forms has no white space around it", () => {
  let seen = "";
  const writer = new TrimmingWriter((text) => {
    seen += text;
  });
  const steps = ["  ", "\nHe", "llo ", "", "\n\n", "you", " \n"].map((piece) => {
    writer.push(piece);
    return seen;
  });
  expect(steps).toEqual(["", "He", "Hello", "Hello", "Hello", "Hello \n\nyou", "Hello \n\nyou"]);
});
