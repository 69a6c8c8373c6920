/** TOFU: twenty questions about each of two hundred invented authors, and questions about real authors and facts. */
import { z } from "zod";
import { mentionOf, namesIn } from "../subject.ts";
import { checkRow, defineSet, has, rowsOf, splitOf, fromQuestions } from "./set.ts";

const text = z.string().min(1);
/** A text, or a list whose first text is meant. */
const first = z.union([
  text,
  z
    .array(text)
    .min(1)
    .transform((list) => list[0]!),
]);
const rowSchema = z.strictObject({
  question: text,
  answer: text,
  paraphrased_question: first.optional(),
  paraphrased_answer: first.optional(),
  perturbed_answer: z.union([z.array(text), text.transform((one) => [one])]).optional(),
  /** Of data in TOFU's layout whose authors have fewer questions. */
  author: text.optional(),
});
type Row = z.output<typeof rowSchema>;

/** Consecutive questions per author. */
const BLOCK = 20;
/** Suffix of the split with paraphrases and false answers, which has the same questions in the same order. */
const RICHER = "_perturbed";

export const tofu = defineSet({
  name: "tofu",
  doc: "20 questions about each of 200 invented authors (full, forget01 to forget10, retain90 to retain99), real authors, world facts",
  source: "locuslab/TOFU",
  licence: "MIT",
  splits: [`forget10${RICHER}`, `retain${RICHER}`, `real_authors${RICHER}`, `world_facts${RICHER}`, "full", "holdout10"],
  richer: RICHER,
  claims: (row) => has("question", "answer")(row) && ("paraphrased_answer" in row || "perturbed_answer" in row),
  read(options) {
    const split = splitOf(options).replace(new RegExp(`${RICHER}$`), "");
    const rows = rowsOf(options).map((record) => checkRow(rowSchema, record));
    const authors = authorsOf(rows);
    return fromQuestions(rows, options, (row, at) => {
      const { question, answer, paraphrased_question: asked, paraphrased_answer: restated, perturbed_answer: wrong } = row;
      const author = row.author ?? authors[Math.floor(at / BLOCK)];
      return {
        id: `tofu/${split}/${String(at).padStart(4, "0")}`,
        prompt: question,
        answer,
        named: author && mentionOf(author, question),
        ...(asked !== undefined && { paraphrases: [asked] }),
        ...(wrong && { wrong }),
        ...(restated !== undefined && { restated }),
        ...(author !== undefined && { group: author }),
      };
    });
  },
});

/** The author of each block of questions: a name of two or more words that most of its rows contain; undefined if there is none. */
function authorsOf(rows: readonly Row[]): (string | undefined)[] {
  return Array.from({ length: Math.ceil(rows.length / BLOCK) }, (_, block) => {
    const texts = rows.slice(block * BLOCK, (block + 1) * BLOCK).map(({ question, answer }) => `${question}\n${answer}`);
    const names = new Set(texts.flatMap((both) => both.split("\n").flatMap(namesIn)).filter((name) => name.includes(" ")));
    const counted = [...names].map((name) => ({ name, rows: texts.filter((both) => both.includes(name)).length }));
    const most = Math.max(0, ...counted.map((c) => c.rows));
    // a part of a name occurs wherever the whole name does, so take the longest of those about as frequent
    const best = counted.filter((c) => c.rows >= 0.8 * most).sort((a, b) => b.name.length - a.name.length)[0];
    return best && best.rows >= texts.length / 2 && best.rows > 1 ? best.name : undefined;
  });
}
