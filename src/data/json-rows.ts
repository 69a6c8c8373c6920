/** The rows of JSON that is neither one array nor one object a line: a list below a key, rows by number, columns, or objects over several lines. */
import { closingQuote, isRecord } from "../base/json.ts";

/** Keys below which others keep a list of rows. */
const HOLDERS =
  /^(data|dataset|rows|records|examples|items|instances|samples|requests|questions|facts|entries|results|train|test|valid(ation)?|eval)$/i;
/** Keys of a row that is itself meant, whatever lists it holds. */
const OWN = ["prompt", "question", "query", "requested_rewrite"];

const areRows = (value: unknown): value is Record<string, unknown>[] => Array.isArray(value) && value.length > 0 && value.every(isRecord);

/** The rows of one JSON value. An object that holds no rows is a row. */
export function rowsOfValue(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value;
  if (!isRecord(value) || OWN.some((key) => Object.hasOwn(value, key) && !Array.isArray(value[key]) && !isRecord(value[key])))
    return [value];
  const entries = Object.entries(value);
  const lists = entries.filter(([key, of]) => areRows(of) && (entries.length === 1 || HOLDERS.test(key)));
  // the hub's rows lie in a row each, beside their numbers
  if (lists.length === 1)
    return (lists[0]![1] as Record<string, unknown>[]).map((one) => (isRecord(one["row"]) && "row_idx" in one ? one["row"] : one));
  const inner = entries.map(([, of]) => of);
  if (entries.length > 0 && entries.every(([key, of]) => /^\d+$/.test(key) && isRecord(of))) return inner;
  const columns = inner.map((of) =>
    Array.isArray(of) ? of : isRecord(of) && Object.keys(of).every((key) => /^\d+$/.test(key)) ? Object.values(of) : [],
  );
  const length = columns[0]?.length ?? 0;
  if (length === 0 || columns.some((column) => column.length !== length)) return [value];
  return Array.from({ length }, (_, row) => Object.fromEntries(entries.map(([key], i) => [key, columns[i]![row] as unknown])));
}

/** The texts of objects and lists that follow one another, each with the line where it begins; undefined if one does not end, or if anything else is between. */
export function valuesIn(text: string): { readonly text: string; readonly line: number }[] | undefined {
  const found: { text: string; line: number }[] = [];
  let [depth, start, line, begun, end] = [0, -1, 1, 1, 0];
  for (let at = 0; at < text.length; at++) {
    const c = text[at]!;
    if (c === '"') at = closingQuote(text, at);
    else if (c === "\n" || (c === "\r" && text[at + 1] !== "\n")) line++;
    else if (c === "{" || c === "[") {
      if (depth++ > 0) continue;
      if (text.slice(end, at).trim() !== "") return undefined;
      [start, begun] = [at, line];
    } else if ((c === "}" || c === "]") && --depth === 0) {
      end = at + 1;
      found.push({ text: text.slice(start, end), line: begun });
    }
    if (depth < 0) return undefined;
  }
  return depth === 0 && text.slice(end).trim() === "" ? found : undefined;
}
