/** Lists of texts as Python prints them: tools that write JSON store a list of right answers as the text "['Sella', 'Sellamere']". */

const ESCAPES: Readonly<Record<string, string>> = { n: "\n", t: "\t", r: "\r", "\n": "" };
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
    const said = single ?? double;
    if (said !== undefined) {
      if (open.length === 1) texts.push([plain(said)]);
      else texts.at(-1)?.push(plain(said));
    } else if (mark === "[" || mark === "(") {
      if (open.length === 1) texts.push([]);
      open.push(mark === "[" ? "]" : ")");
    } else if (mark !== "," && (open.pop() !== mark || (open.length === 0 && at < text.length))) return undefined;
  }
  const said = texts.map((parts) => parts.join(" ")).filter((part) => part !== "");
  return open.length === 0 && said.length > 0 ? said : undefined;
}

const plain = (inside: string): string =>
  inside.replaceAll(
    /\\(?:x([\da-f]{2})|u([\da-f]{4})|U([\da-f]{8})|([\s\S]))/gi,
    (_, x?: string, u?: string, long?: string, one?: string) =>
      one === undefined ? String.fromCodePoint(parseInt((x ?? u ?? long)!, 16)) : (ESCAPES[one] ?? one),
  );
