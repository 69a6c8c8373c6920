/** Lists of texts as Python prints them: tools that write JSON store a list of right answers as the text "['Sella', 'Sellamere']". */
import { JinjaError } from "../text/jinja/trouble.ts";
import { unescaped } from "../text/jinja/unescape.ts";

/** A text in quotation marks, or a bracket or comma between texts; a text that Python joins from neighbours is not expected. */
const PIECE = /\s*(?:'((?:[^'\\]|\\[\s\S])*)'|"((?:[^"\\]|\\[\s\S])*)"|([[\](),]))\s*/y;

/** The texts of a printed list or tuple, those of inner lists with a space between them; undefined for every other text, lists of numbers too. */
export function pythonTexts(printed: string): string[] | undefined {
  const text = printed.trim();
  if (!/^[[(][\s\S]*[\])]$/.test(text)) return undefined;
  const texts: string[][] = [];
  const open: string[] = [];
  for (let at = 0; at < text.length;) {
    PIECE.lastIndex = at;
    const found = PIECE.exec(text);
    if (!found) return undefined;
    at = PIECE.lastIndex;
    const [, single, double, mark] = found;
    const literal = single ?? double;
    if (literal !== undefined) {
      const said = plain(literal);
      if (said === undefined) return undefined;
      if (open.length === 1) texts.push([said]);
      else texts.at(-1)?.push(said);
    } else if (mark === "[" || mark === "(") {
      if (open.length === 1) texts.push([]);
      open.push(mark === "[" ? "]" : ")");
    } else if (mark !== "," && (open.pop() !== mark || (open.length === 0 && at < text.length))) return undefined;
  }
  const said = texts.map((parts) => parts.join(" ")).filter((part) => part !== "");
  return open.length === 0 && said.length > 0 ? said : undefined;
}

/** The text of a literal; undefined where Python prints none like it. */
function plain(literal: string): string | undefined {
  try {
    return unescaped(literal, 1);
  } catch (error) {
    if (error instanceof JinjaError) return undefined;
    throw error;
  }
}
