/** Requests as tokens for locate-then-edit: the question inside each context template, followed by its target. */
import { fail } from "../base/fail.ts";
import { checkContext, type Model } from "../model/model.ts";
import { promptWithoutEdits, type Format, type RowOptions, withTarget } from "../model/prompt.ts";
import { subjectSpan, tokensOver } from "../text/spans.ts";

/** One request in one context template, as one row of tokens. */
export interface TokenizedRequest {
  readonly text: string;
  readonly ids: readonly number[];
  /** The index of the subject's last token; of the prompt's last token if the request has no subject. */
  readonly subject: number;
  /** The index of the target's first token; `ids.length` without a target. */
  readonly first: number;
  /** How many tokens the subject has. */
  readonly width: number;
}

export interface Asked {
  /** Names the request in errors. */
  readonly id?: string | number;
  readonly prompt: string;
  readonly subject?: string;
  readonly target?: string | null;
}

/** How a job asks: in its prompt format. The target includes the token that ends an answer, except under the compat "open-end". */
export const answerAs = (job: { readonly format: Format; readonly system?: string; readonly compat: ReadonlySet<string> }): RowOptions => ({
  format: job.format,
  ...(job.system !== undefined && { system: job.system }),
  end: !job.compat.has("open-end"),
});

/**
 * One row of tokens for each context template. "{}" in a template marks the place of the question, inside the user's turn. Refuses a subject
 * that is not in the prompt. A request without a subject is read at the last token before its answer.
 */
export function tokenizeRequest(model: Model, request: Asked, templates: readonly string[], options: RowOptions): TokenizedRequest[] {
  return templates.map((template) => {
    const at = template.indexOf("{}");
    if (at < 0) fail("context template", JSON.stringify(template), 'a text with "{}" where the question goes', "");
    const content = template.slice(0, at) + request.prompt + template.slice(at + 2);
    const prompt = promptWithoutEdits(model, content, options);
    const [from, to] = prompt.content;
    const shown = prompt.text.slice(from, to);
    const question = shown.indexOf(request.prompt.trim(), Math.max(0, at - 1));
    const { subject } = request;
    const inQuestion = subject === undefined ? 0 : request.prompt.trim().lastIndexOf(subject);
    if (subject !== undefined && (question < 0 || inQuestion < 0 || !subject.trim())) subjectSpan(prompt, request.prompt, subject); // says what is wrong
    const start = from + question + inQuestion;
    const behind = template === "{}" ? "" : " behind a context template";
    const whole = request.target ? withTarget(model, prompt, request.target, options) : { ...prompt, first: prompt.ids.length };
    checkContext(
      model,
      "edit",
      `${request.id === undefined ? JSON.stringify(shortened(request.prompt)) : `request "${request.id}"`}${behind}`,
      whole.ids.length,
    );
    const span =
      subject === undefined
        ? { first: whole.first - 1, last: whole.first - 1 }
        : (tokensOver(whole, start, start + subject.length) ??
          fail("subject", `no token covers ${JSON.stringify(subject)}`, "a subject that the tokenizer keeps", ""));
    return { text: whole.text, ids: whole.ids, subject: span.last, first: whole.first, width: span.last - span.first + 1 };
  });
}

const shortened = (text: string): string => (text.length > 60 ? `${text.slice(0, 60)} …` : text);
