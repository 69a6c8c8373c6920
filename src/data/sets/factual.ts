/** The factual set of PISTOL's second paper: 217 questions about authors and the world. */
import { z } from "zod";
import type { ForgetRequest } from "../request.ts";
import { findSubject } from "../subject.ts";
import { checkRow, defineSet, givenFor, noStray, readSubjects, rowsOf } from "./set.ts";

const rowSchema = z.strictObject({ question: z.string().min(1), answer: z.string().min(1) });

export const factual = defineSet({
  name: "factual",
  doc: "217 short questions that a small model may know: 100 about authors, 117 about the world",
  source: "bill-shen-BS/PISTOL data/factual_data.json",
  licence: "ODC-By (dataset card xinchiqiu/PISTOL)",
  read(options) {
    const { subjects } = options;
    const given = subjects === undefined ? undefined : readSubjects(subjects);
    const guessed: string[] = [];
    const requests = rowsOf(options).map((record, row): ForgetRequest => {
      const { question, answer } = checkRow(rowSchema, record);
      const id = `factual/${row}`;
      const known = givenFor(given, row, question);
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
    noStray(given, requests.length);
    return { requests, guessed };
  },
});
