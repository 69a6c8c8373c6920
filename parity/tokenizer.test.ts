/** SmolLM2's tokenizer and template against the reference: by tokenizer.json and by the GGUF file's metadata. */
import { existsSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { chatPrompt, type Message, renderChat, turnEnd } from "../src/text/chat.ts";
import { openGguf } from "../src/checkpoint/gguf.ts";
import { createTokenizer } from "../src/text/tokenizer.ts";
import { tokenizerFromGguf } from "../src/text/tokenizer-gguf.ts";
import { absent, readJson, shared } from "./shared.ts";

interface Golden {
  strings: { text: string; ids: number[]; decoded: string; decoded_skip_special: string }[];
  chats: { messages: Message[]; add_generation_prompt: boolean; text: string; ids: number[] }[];
}
const folder = "models/smollm2-135m-instruct";
const isHere = !absent && existsSync(shared(`${folder}/model.gguf`));

describe.skipIf(!isHere)("SmolLM2 (skipped where ../shared is absent)", () => {
  const golden = isHere ? readJson<Golden>("golden/smollm2/tokenizer.json") : { strings: [], chats: [] };
  const read = (name: string): unknown => readJson(`${folder}/${name}`);
  const made = isHere ? fromGguf() : undefined;
  const byJson = isHere
    ? createTokenizer(read("tokenizer.json"), read("tokenizer_config.json"), read("generation_config.json"))
    : undefined;
  const byGguf = made && createTokenizer(made.tokenizerJson, made.tokenizerConfig);

  it("both routes have one hash, the same ends and the same template", () => {
    expect(byGguf!.hash).toBe(byJson!.hash);
    for (const tokenizer of [byJson!, byGguf!])
      expect([tokenizer.bos, tokenizer.eos, tokenizer.pad, tokenizer.size]).toEqual([1, [2], 2, 49152]);
    expect(made!.chatTemplate).toBe(readFileSync(shared(`${folder}/chat_template.jinja`), "utf8"));
  });

  it.each([
    ["tokenizer.json", byJson!],
    ["GGUF", byGguf!],
  ])("%s: 65 strings and 20 chats", (_, tokenizer) => {
    expect([golden.strings.length, golden.chats.length]).toEqual([65, 20]);
    for (const { text, ids, decoded, decoded_skip_special } of golden.strings) {
      const encoding = tokenizer.encode(text);
      expect(encoding.ids, JSON.stringify(text)).toEqual(ids);
      expect(tokenizer.decode(ids, { special: true })).toBe(decoded);
      expect(tokenizer.decode(ids)).toBe(decoded_skip_special);
      expect(encoding.offsets.length).toBe(ids.length);
      if (ids.length) expect([encoding.offsets[0]![0], encoding.offsets.at(-1)![1]]).toEqual([0, text.length]);
    }
    for (const { messages, add_generation_prompt, text, ids } of golden.chats) {
      expect(renderChat(made!.chatTemplate!, messages, { ...tokenizer.named, addGenerationPrompt: add_generation_prompt })).toBe(text);
      expect(tokenizer.encode(text, { special: false }).ids).toEqual(ids);
      if (!add_generation_prompt || messages.at(-1)?.role !== "user") continue;
      const prompt = chatPrompt(messages, { template: made!.chatTemplate!, tokenizer });
      expect(prompt.ids).toEqual(ids);
      expect(prompt.text.slice(...prompt.content)).toBe(messages.at(-1)!.content);
    }
    expect(turnEnd(tokenizer, made!.chatTemplate!)).toEqual([2]);
  });
});

function fromGguf(): ReturnType<typeof tokenizerFromGguf> {
  const file = openGguf(shared(`${folder}/model.gguf`));
  try {
    return tokenizerFromGguf(file.kv);
  } finally {
    file.close();
  }
}
