/** Past forms of English verbs: the irregular verbs, and the rule for the others. */

/** Present, past, and participle if it differs. */
const IRREGULAR =
  "be was been,beat beat beaten,become became,begin began begun,bear bore born,bind bound,blow blew blown,break broke broken,bring brought,build built," +
  "buy bought,catch caught,choose chose chosen,come came,cost cost,cut cut,deal dealt,die died,do did done,draw drew drawn,drink drank drunk," +
  "drive drove driven,eat ate eaten,fall fell fallen,feel felt,fight fought,find found,fly flew flown,forget forgot forgotten,get got gotten,give gave given," +
  "go went gone,grow grew grown,have had,hear heard,hide hid hidden,hit hit,hold held,keep kept,know knew known,lay laid,lead led,learn learned,leave left," +
  "let let,lie lay lain,lose lost,make made,mean meant,meet met,pay paid,put put,read read,ride rode ridden,rise rose risen,run ran run,say said,see saw seen," +
  "seek sought,sell sold,send sent,set set,shine shone,shoot shot,show showed shown,sing sang sung,sink sank sunk,sit sat,sleep slept,speak spoke spoken," +
  "spend spent,stand stood,steal stole stolen,strike struck,swim swam swum,take took taken,teach taught,tell told,think thought,throw threw thrown," +
  "understand understood,wear wore worn,win won,write wrote written";
const FORMS = IRREGULAR.split(",").map((line) => line.split(" "));

/** The past of a verb: go, went; study, studied; stop, stopped. */
export function past(verb: string): string {
  const irregular = FORMS.find(([present]) => present === verb)?.[1];
  if (irregular !== undefined) return irregular;
  if (verb.endsWith("e")) return `${verb}d`;
  if (/[^aeiou]y$/.test(verb)) return `${verb.slice(0, -1)}ied`;
  return /^[^aeiou]*[aeiou][bdglmnprt]$/.test(verb) ? `${verb}${verb.at(-1)!}ed` : `${verb}ed`;
}

/** The third person of a verb: goes, studies, teaches, has. */
export function third(verb: string): string {
  if (verb === "have") return "has";
  if (verb === "be") return "is";
  if (/[^aeiou]y$/.test(verb)) return `${verb.slice(0, -1)}ies`;
  return /(?:s|x|z|ch|sh|o)$/.test(verb) ? `${verb}es` : `${verb}s`;
}

/** All forms of the irregular verb of which `word` is a form; empty for other words. */
export const formsOf = (word: string): readonly string[] => FORMS.find((forms) => forms.includes(word)) ?? [];
