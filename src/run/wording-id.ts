/** The ids of a question's wordings, which evaluations write and reports read. */

/** The id of a wording: the question has number 0 and keeps its id; its paraphrases have 1, 2, … */
export const wordingId = (id: string, wording: number): string => (wording === 0 ? id : `${id}/rephrased-${wording}`);

/** The id of the question that a wording belongs to. */
export const questionOf = (id: string): string => id.replace(/\/rephrased-\d+$/, "");
