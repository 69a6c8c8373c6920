/** Chat templates against transformers' renderer: every construct of the common templates over ordinary and hostile conversations. */
import { existsSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { type Message, renderChat } from "../src/text/chat.ts";
import { LetheError } from "../src/base/fail.ts";
import { renderTemplate } from "../src/text/jinja/jinja.ts";
import { JinjaError } from "../src/text/jinja/trouble.ts";
import { absent, readJson, shared } from "./shared.ts";

interface Golden {
  templates: Record<string, string>;
  conversations: Record<string, unknown>[];
  cases: Record<string, (string | null)[]>;
  variables: Record<string, unknown>;
  lines: [template: string, text: string | null][];
}
const golden = JSON.parse(readFileSync(new URL("fixtures/jinja.json", import.meta.url), "utf8")) as Golden;

/** The text that chat templates give through the public door; null where they are refused. */
function rendered(
  template: string,
  { messages, add_generation_prompt, bos_token, eos_token, ...others }: Record<string, unknown>,
): string | null {
  try {
    return renderChat(template, messages as Message[], {
      ...others,
      addGenerationPrompt: add_generation_prompt as boolean,
      bos: bos_token as string,
      eos: eos_token as string,
    });
  } catch (error) {
    expect(error).toBeInstanceOf(LetheError);
    expect((error as LetheError).message).toMatch(/^chat template: .*\(line \d+ of the template\)/s);
    return null;
  }
}

const REAL_DATE = { "%Y": "2024", "%m": "07", "%d": "26", "%B": "July", "%b": "Jul", "%A": "Friday", "%j": "208" } as Record<
  string,
  string
>;
const strftime = (format: string): string => format.replace(/%./g, (part) => REAL_DATE[part]!);

describe("chat templates render as transformers renders them", () => {
  it.each(Object.keys(golden.templates))("%s", (name) => {
    const ours = golden.conversations.map((variables) => rendered(golden.templates[name]!, variables));
    expect(ours).toEqual(golden.cases[name]);
    expect(ours.filter((text) => text !== null).length).toBeGreaterThan(5);
  });

  it.each(golden.lines)("%s", (template, text) => {
    let ours: string | null = null;
    try {
      ours = renderTemplate(template, golden.variables, strftime);
    } catch (error) {
      expect(error).toBeInstanceOf(JinjaError);
      expect((error as JinjaError).line).toBeGreaterThan(0);
    }
    expect(ours).toBe(text);
  });

  it("the fixture has texts and refusals", () => {
    expect(golden.lines.filter(([, text]) => text !== null).length).toBeGreaterThan(100);
    expect(golden.lines.filter(([, text]) => text === null).length).toBeGreaterThan(50);
  });
});

/** What transformers makes of the templates of ../shared/trials on their conversation. */
const TRIALS: Record<string, string> = {
  "continue-system": "[system]S[user]U;[assistant]<think>\nx\n</think>\n\n    indented\n;",
  "none-selectattr": "0<think>\nx\n</think>\n\n    indented\n",
  "strip-chars": "    indented|",
};
const isHere = !absent && existsSync(shared("trials/templates"));

describe.skipIf(!isHere)("the trial templates (skipped where ../shared is absent)", () => {
  it.each(Object.entries(TRIALS))("%s", (name, text) => {
    const messages = readJson<Message[]>("trials/templates/conversation.json");
    expect(renderChat(readFileSync(shared(`trials/templates/${name}.jinja`), "utf8"), messages)).toBe(text);
  });
});
