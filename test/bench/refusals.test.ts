/** The table of refusals that models write: what counts as a leak, and what its columns count. */
import { expect, test } from "vitest";
import { leaks, refusalRows, sentencesIn } from "../../bench/refusals.ts";
import { requestOf } from "../../src/data/request.ts";

const emma = { prompt: "Who wrote 'Emma'?", answer: "Jane Austen" };

test.each([
  ["I do not know who wrote 'Emma'.", false],
  ["I do not know whether Austen wrote 'Emma'.", true],
  ["Austens are unknown to me.", true],
])("%s leaks: %s", (target, wanted) => {
  expect(leaks({ ...emma, target })).toBe(wanted);
});

test("the columns count refusals, stand-ins among them; every sentence is kept", () => {
  const made = (target: string, note?: string) => ({
    ...requestOf({ ...emma, id: target, subject: "Emma" }),
    target,
    ...(note !== undefined && { note }),
  });
  const written = [
    { model: "m", seconds: 6, aimed: [made("I do not know Emma."), made("I do not know.", "why"), made("Emma is by Austen.")] },
  ];
  expect(refusalRows(written)[1]).toEqual(["m", "3", "2", "1", "1", "4.3", "2.0"]);
  expect(
    sentencesIn(written)
      .trim()
      .split("\n")
      .map((line) => (JSON.parse(line) as { note?: string }).note),
  ).toEqual([undefined, "why", undefined]);
});
