/** Columns: how wide text is, where it breaks, and that two growing texts end up on the screen as if they had been written at once. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SideBySide, width, wrap } from "../../src/cli/columns.ts";

describe("width", () => {
  test.each([
    ["abc", 3],
    ["日本", 4],
    ["é", 1],
    ["e\u0301", 1],
    ["👍", 2],
    ["👨‍👩‍👧", 2],
    ["한글", 4],
    ["", 0],
    ["ﬁ│", 2],
  ])("%s is %i", (text, n) => expect(width(text)).toBe(n));
});

const words = fc
  .array(fc.constantFrom("a", "to", "fox", "forest", "extraordinarily", "日本語", " ", "  ", "\n", "."), { maxLength: 40 })
  .map((parts) => parts.join(""));

describe("wrap", () => {
  test("at spaces; a long word in pieces; line breaks stay", () => {
    expect(wrap("the quick brown fox", 10)).toEqual(["the quick", "brown fox"]);
    expect(wrap("abcdefghijkl mn", 5)).toEqual(["abcde", "fghij", "kl mn"]);
    expect(wrap("a\n\nb", 5)).toEqual(["a", "", "b"]);
    expect(wrap("日本語日本語", 5)).toEqual(["日本", "語日", "本語"]);
  });
  test("what would steer the terminal is written as its code, and counted", () => {
    expect(wrap("a\u001b[2Jb\rc", 40)).toEqual(["a\\u001b[2Jb\\u000dc"]);
  });
  test("no line is too wide and no word is lost", () => {
    fc.assert(
      fc.property(words, fc.integer({ min: 4, max: 20 }), (text, columns) => {
        const lines = wrap(text, columns);
        expect(Math.max(0, ...lines.map(width))).toBeLessThanOrEqual(columns);
        expect(lines.join("").replaceAll(/\s/g, "")).toBe(text.replaceAll(/\s/g, ""));
      }),
      { seed: 1, numRuns: 300 },
    );
  });
  test("more text changes the last line only", () => {
    fc.assert(
      fc.property(words, words, fc.integer({ min: 4, max: 20 }), (before, more, columns) => {
        const lines = wrap(before, columns);
        expect(wrap(before + more, columns).slice(0, lines.length - 1)).toEqual(lines.slice(0, -1));
      }),
      { seed: 2, numRuns: 300 },
    );
  });
});

/** The screen after text with the few control sequences that are used; rows that left at the top stay in `lines`. */
function played(text: string, rows: number): { lines: string[]; deepest: number } {
  const lines: string[] = [""];
  let [at, deepest] = [0, 0];
  for (const part of text.replaceAll("\u001b", "ESC").split(/(ESC\[\d*[AJ]|\n|\r)/)) {
    const up = /^ESC\[(\d+)A$/.exec(part);
    if (up) {
      at -= Number(up[1]);
      deepest = Math.max(deepest, Number(up[1]));
    } else if (part === "ESC[J") lines.length = at + 1;
    else if (part === "\n") lines[++at] ??= "";
    else if (part !== "\r" && part !== "") lines[at] = part;
  }
  expect(deepest).toBeLessThan(rows);
  return { lines: lines.slice(0, -1), deepest };
}

describe("side by side", () => {
  const show = (left: string, right: string, order: readonly boolean[], rows: number): string => {
    let text = "";
    const two = new SideBySide(41, rows, (piece) => {
      text += piece;
    });
    const rest: [string[], string[]] = [[...left], [...right]];
    for (const side of [
      ...order,
      ...new Array<boolean>(left.length + right.length).fill(true),
      ...new Array<boolean>(right.length).fill(false),
    ]) {
      const i = side ? 0 : 1;
      const piece = rest[i].shift();
      if (piece !== undefined) two.push(i, piece);
    }
    two.end(0);
    two.end(1);
    return text;
  };
  test("two texts in turn", () => {
    expect(played(show("The capital is Canberra.", "I do not know.", [], 10), 10).lines).toEqual([
      "The capital is     │ I do not know.",
      "Canberra.          │",
    ]);
  });
  test("whatever the order and the height, the screen ends as the wrapped texts side by side", () => {
    fc.assert(
      fc.property(words, words, fc.array(fc.boolean(), { maxLength: 200 }), fc.integer({ min: 4, max: 12 }), (a, b, order, rows) => {
        const { lines } = played(show(a, b, order, rows), rows);
        const [left, right] = [wrap(a.trim(), 18), wrap(b.trim(), 18)];
        const wanted = Array.from({ length: Math.max(left.length, right.length) }, (_, i) =>
          `${(left[i] ?? "").padEnd(18 - width(left[i] ?? "") + (left[i] ?? "").length)} │ ${right[i] ?? ""}`.trimEnd(),
        );
        expect(lines.slice(0, wanted.length)).toEqual(wanted);
      }),
      { seed: 3, numRuns: 200 },
    );
  });
});
