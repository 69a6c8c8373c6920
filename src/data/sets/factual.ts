/** The factual set of PISTOL's second paper: 217 questions about authors and the world. */
import { z } from "zod";
import { fail } from "../../base/fail.ts";
import { check, readRecords } from "../records.ts";
import type { ForgetRequest } from "../request.ts";
import { findSubject } from "../subject.ts";
import { defineSet, readSubjects } from "./set.ts";

const rowSchema = z.strictObject({ question: z.string().min(1), answer: z.string().min(1) });

export const factual = defineSet({
  name: "factual",
  doc: "217 short questions that a small model can know: 100 on authors, 117 on the world",
  source: "bill-shen-BS/PISTOL data/factual_data.json",
  licence: "ODC-By (dataset card xinchiqiu/PISTOL)",
  read({ path, subjects }) {
    const given = subjects === undefined ? undefined : readSubjects(subjects);
    const guessed: string[] = [];
    const requests = readRecords(path).map((record, row): ForgetRequest => {
      const { question, answer } = check(rowSchema, record);
      const id = `factual/${row}`;
      const known = given?.get(row);
      if (known && !question.includes(known.subject))
        fail(
          known.place,
          `subject "${known.subject}" is not in the question of row ${row}`,
          "a span of it",
          "Spell it as the question does.",
        );
      if (!known) guessed.push(id);
      const paraphrases = known?.rephrase === undefined ? [] : [known.rephrase];
      return {
        id,
        subject: known?.subject ?? findSubject(question) ?? "",
        prompt: question,
        answer,
        paraphrases,
        neighbours: [],
        wrong: [],
      };
    });
    const stray = [...(given ?? [])].find(([row]) => row >= requests.length)?.[1];
    if (stray) fail(stray.place, `there is no row ${stray.row}`, `a row from 0 to ${requests.length - 1}`, "Rows are counted from 0.");
    return { requests, guessed };
  },
});
