/** The rows that locate-then-edit works on: a question behind context templates, with its target, as tokens. */
import { fail } from "../base/fail.ts";
import { checkContext, type Model } from "../model/model.ts";
import { barePrompt, type Format, type RowOptions, withTarget } from "../model/prompt.ts";
import { subjectSpan, tokensOver } from "../text/spans.ts";

/**
 * One row of tokens; `subject` is the index of the subject's last token, or of the prompt's where no subject is asked for, `first` that of
 * the target's first (ids.length without a target).
 */
export interface EditRow {
  readonly text: string;
  readonly ids: readonly number[];
  readonly subject: number;
  readonly first: number;
  /** How many tokens the subject has. */
  readonly width: number;
}

export interface Asked {
  /** Names it in an error. */
  readonly id?: string | number;
  readonly prompt: string;
  readonly subject?: string;
  readonly target?: string | null;
}

/** How a job asks and is answered: in its format, and unless told otherwise (compat "open-end") to an end. */
export const answerAs = (job: { readonly format: Format; readonly system?: string; readonly compat: ReadonlySet<string> }): RowOptions => ({
  format: job.format,
  ...(job.system !== undefined && { system: job.system }),
  end: !job.compat.has("open-end"),
});

/**
 * A request behind each template; "{}" stands for the question, inside the user's turn. Refuses a subject that is not in the prompt; a
 * request without one is looked at where its answer begins.
 */
export function rowsOf(model: Model, request: Asked, templates: readonly string[], options: RowOptions): EditRow[] {
  return templates.map((template) => {
    const at = template.indexOf("{}");
    if (at < 0) fail("context template", JSON.stringify(template), 'a text with "{}" where the question goes', "");
    const content = template.slice(0, at) + request.prompt + template.slice(at + 2);
    const prompt = barePrompt(model, content, options);
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
