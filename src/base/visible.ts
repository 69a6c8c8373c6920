/** Text of files, models and hubs as it may be shown: what would steer a terminal or break a page is written as its code. */

/** Control characters but for line break and tab, halves of characters, line separators, overrides of the text's direction, no characters. */
const UNSEEN = /(?![\n\t])[\p{Cc}\p{Cs}\u2028-\u202e\u2066-\u2069\ufffe\uffff]/gu;

const coded = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;

/** The text with such characters as "\u001b"; inside JSON that is the same value. Line breaks of every system become one. */
export const visible = (text: string): string => text.replaceAll("\r\n", "\n").replace(UNSEEN, coded);

/** The same on one line: line breaks and tabs are written as codes too. */
export const visibleLine = (text: string): string => visible(text).replaceAll(/[\n\t]/g, coded);

/** The same inside HTML, SVG and their attributes. */
export const inMarkup = (text: string): string =>
  visible(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
