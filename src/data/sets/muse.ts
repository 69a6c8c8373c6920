/** MUSE's questions about what was learnt from news or books (knowmem). */
import { z } from "zod";
import type { ForgetRequest } from "../request.ts";
import { findSubject } from "../subject.ts";
import { checkRow, defineSet, givenFor, noStray, readSubjects, rowsOf } from "./set.ts";

const rowSchema = z.strictObject({ question: z.string().min(1), answer: z.string().min(1) });

export const muse = defineSet({
  name: "muse",
  doc: "100 questions about texts to forget and as many about texts to retain (knowmem); texts to complete (verbmem) are no questions and are not read",
  source: "muse-bench/MUSE-News, muse-bench/MUSE-Books: knowmem/forget_qa.json, retain_qa.json",
  licence: "CC BY 4.0",
  splits: ["forget_qa", "retain_qa"],
  read(options) {
    const { subjects } = options;
    const given = subjects === undefined ? undefined : readSubjects(subjects);
    const guessed: string[] = [];
    const requests = rowsOf(options).map((record, row): ForgetRequest => {
      const { question, answer } = checkRow(rowSchema, record);
      const id = `muse/${row}`;
      const known = givenFor(given, row, question);
      if (!known) guessed.push(id);
      return {
        id,
        subject: known?.subject ?? findSubject(question) ?? "",
        prompt: question,
        answer,
        paraphrases: known?.rephrase === undefined ? [] : [known.rephrase],
        neighbours: [],
        wrong: [],
      };
    });
    noStray(given, requests.length);
    return { requests, guessed };
  },
});
