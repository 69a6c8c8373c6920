/** The invented world that the bundled model knows: its facts as requests, and everything it is trained on. */
import { basename, dirname, join } from "node:path";
import { z } from "zod";
import { rng } from "../../base/rng.ts";
import { check, readRecords } from "../records.ts";
import { REFUSALS } from "../refusals.ts";
import type { ForgetRequest, QA } from "../request.ts";
import { defineSet } from "./set.ts";

const text = z.string().min(1);
const factSchema = z.strictObject({
  id: text,
  subject: text,
  relation: text,
  question: text,
  answer: text,
  /** Other ways to ask, all trained. */
  paraphrases: z.array(text).min(6),
  /** Ways to ask that training never sees. */
  heldout: z.array(text).min(1),
  /** The fact as plain sentences, all trained. */
  statements: z.array(text).min(1),
});
const unknownSchema = z.strictObject({
  id: text,
  subject: text,
  relation: text,
  question: text,
  refusal: text,
  heldout: z.boolean().default(false),
});
const talkSchema = z.strictObject({ id: text, question: text, answer: text });

export type Fact = z.output<typeof factSchema>;
export type Unknown = z.output<typeof unknownSchema>;

/** The content of the folder `bundled/`. */
export interface World {
  readonly facts: readonly Fact[];
  /** Questions about things that the world does not contain, each with its refusal; held-out ones are never trained. */
  readonly unknowns: readonly Unknown[];
  readonly talk: readonly QA[];
}

/** A row to train on: a conversation for the chat template, or plain text. */
export type TrainingRow =
  | {
      readonly id: string;
      readonly kind: "chat";
      readonly messages: readonly { readonly role: "user" | "assistant"; readonly content: string }[];
    }
  | { readonly id: string; readonly kind: "text"; readonly text: string };

/** Reads facts.jsonl, refusals.jsonl and talk.jsonl of a folder; a bad line is refused with file, line and field. */
export function readWorld(folder: string): World {
  const read = <S extends z.ZodObject>(file: string, schema: S): z.output<S>[] =>
    readRecords(join(folder, file)).map((record) => check(schema, record));
  return { facts: read("facts.jsonl", factSchema), unknowns: read("refusals.jsonl", unknownSchema), talk: read("talk.jsonl", talkSchema) };
}

/**
 * All training rows in a fixed order: each wording of each fact, again in lower case, and again after an opener;
 * the refusals; small talk; conversations of two turns; each statement, each subject's statements together, and each refusal by itself.
 */
export function trainingRows(world: World, seed: string | number): TrainingRow[] {
  const chance = rng(seed).split("bundled rows");
  const facts = world.facts.flatMap((fact) => askings(fact, chance.split(fact.id).below(OPENERS.length)));
  const unknowns = world.unknowns.filter(({ heldout }) => !heldout).map(({ id, question, refusal }) => turn(id, question, refusal));
  const talk = world.talk.map(({ id, question, answer }) => turn(id, question, answer));
  const refusals = REFUSALS.map((said, i): TrainingRow => ({ id: `refusal/${i}`, kind: "text", text: said }));
  return [
    ...facts,
    ...unknowns,
    ...talk,
    ...pairs([...facts, ...unknowns, ...talk], chance.split("pairs")),
    ...sentences(world.facts),
    ...refusals,
  ];
}

const OPENERS = [
  "Hello.",
  "Please tell me.",
  "A quick question.",
  "I was wondering.",
  "Think about it.",
  "Here is another one.",
  "One more thing.",
  "Listen.",
] as const;

function askings({ id, question, paraphrases, answer }: Fact, opener: number): Chat[] {
  const plain = [question, ...paraphrases];
  const careless = question.toLowerCase().replace(/\?$/, "");
  const opened = plain.slice(0, 3).map((way, i) => `${OPENERS[(opener + i) % OPENERS.length]} ${way}`);
  return [...plain, careless, ...opened].map((way, i) => turn(`${id}/${i}`, way, answer));
}

type Chat = Extract<TrainingRow, { kind: "chat" }>;
const turn = (id: string, user: string, assistant: string): Chat => ({
  id,
  kind: "chat",
  messages: [
    { role: "user", content: user },
    { role: "assistant", content: assistant },
  ],
});

/** As many conversations of two turns as there are fifths of `rows`, drawn at random. */
function pairs(rows: readonly Chat[], chance: ReturnType<typeof rng>): Chat[] {
  return Array.from({ length: Math.floor(rows.length / 5) }, (_, i) => ({
    id: `pair/${i}`,
    kind: "chat",
    messages: [...rows[chance.below(rows.length)]!.messages, ...rows[chance.below(rows.length)]!.messages],
  }));
}

function sentences(facts: readonly Fact[]): TrainingRow[] {
  const bySubject = new Map<string, Fact[]>();
  for (const fact of facts) bySubject.set(fact.subject, [...(bySubject.get(fact.subject) ?? []), fact]);
  const single = facts.flatMap(({ id, statements }) =>
    statements.map((line, i): TrainingRow => ({ id: `${id}/said-${i}`, kind: "text", text: line })),
  );
  const together = [...bySubject]
    .filter(([, about]) => about.length > 1)
    .flatMap(([subject, about]) =>
      [0, 1].map((i): TrainingRow => ({
        id: `about/${subject}/${i}`,
        kind: "text",
        text: about.map(({ statements }) => statements[i % statements.length]!).join(" "),
      })),
    );
  return [...single, ...together];
}

/** What must stay when `fact` goes: what else is known of its subject, then others of its relation, then facts of each other relation. */
function neighboursOf(fact: Fact, facts: readonly Fact[]): QA[] {
  const others = facts.filter((other) => other !== fact);
  const near = others.filter(({ subject }) => subject === fact.subject);
  const akin = others.filter((other) => other.relation === fact.relation && !near.includes(other)).slice(0, 4);
  const relations = new Set([fact.relation, ...near.map(({ relation }) => relation)]);
  const far = others.filter(({ relation }) => !relations.has(relation) && relations.add(relation));
  return [...near, ...akin, ...far].map(({ id, question, answer }) => ({ id: `bundled/${id}`, question, answer }));
}

export const bundled = defineSet({
  name: "bundled",
  doc: "the invented world of the bundled model: 72 facts, each with two rephrases that training never saw",
  source: "written for this project (bundled/facts.jsonl)",
  licence: "Apache-2.0",
  files: /^facts\.jsonl$/,
  read({ path }) {
    const { facts } = readWorld(basename(path) === "facts.jsonl" ? dirname(path) : path);
    const requests = facts.map((fact): ForgetRequest => ({
      id: `bundled/${fact.id}`,
      subject: fact.subject,
      prompt: fact.question,
      answer: fact.answer,
      paraphrases: fact.heldout,
      neighbours: neighboursOf(fact, facts),
      wrong: facts
        .filter((other) => other.relation === fact.relation && other.answer !== fact.answer)
        .slice(0, 3)
        .map(({ answer }) => answer),
      relation: fact.relation,
    }));
    return { requests, guessed: [] };
  },
});
