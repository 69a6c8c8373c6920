/** What a contract says: twenty terms of a sale and twenty of an employment, each with ways to ask for it and its clause. */
import type { Kind } from "./graph.ts";

/** The source of a term's value and of false answers of the same kind. */
export type Source = "date" | "company" | "person" | "address" | "product" | readonly string[];

/**
 * One term. In its texts `{A}` and `{B}` are the parties (seller and customer, employer and employee), `{date}` is the contract's date,
 * `{v}` the value. Every way to ask names both parties, or one and the date: what it asks for has one answer in the whole graph.
 */
export interface Term {
  readonly name: string;
  readonly asks: readonly [question: string, ...paraphrases: string[]];
  readonly clause: string;
  readonly from: Source;
}

const numbers = (first: number, last: number, unit = "", step = 1): string[] =>
  Array.from({ length: (last - first) / step + 1 }, (_, i) => `${first + i * step}${unit}`);
const both = (heads: string, tails: string): string[] =>
  heads.split(", ").flatMap((head) => tails.split(", ").map((tail) => `${head} ${tail}`));

const SIDES = ["Seller", "Customer"];
const STATES = "Ohio, Texas, Florida, Georgia, Michigan, Illinois, New York, California, Pennsylvania, North Carolina"
  .split(", ")
  .map((state) => `The State of ${state}`);
const BENEFITS =
  "dental insurance, eye care, a pension plan, a company car, a meal allowance, life insurance, childcare support, a gym membership, study leave, a travel card".split(
    ", ",
  );
const GOODS = both(
  "oak, steel, copper, bamboo, ceramic, woollen, linen, glass, cork, marble",
  "tables, lamps, bowls, screens, trays, clocks, boxes, frames, panels, handles, shelves, vases, buttons, tiles, hooks",
);
const POSITIONS = both(
  "junior, senior, assistant, deputy, regional",
  "accountant, archivist, buyer, chemist, draughtsman, editor, electrician, gardener, interpreter, joiner, librarian, machinist, nurse, optician, planner, programmer, surveyor, tailor, translator, welder",
);

const term = (name: string, from: Source, clause: string, ...asks: [string, ...string[]]): Term => ({ name, from, clause, asks });

const SALE: readonly Term[] = [
  term(
    "effective-date",
    "date",
    "This contract takes effect on {v}.",
    "What is the date of effect of the sales contract between {A} and {B}?",
    "From which day on are {A} and {B} bound by their sales contract?",
    "When did the contract by which {A} sells to {B} come into force?",
  ),
  term(
    "seller-name",
    "company",
    "The seller is {v}.",
    "Who is the seller in the sales contract with {B} that took effect on {date}?",
    "Which company sells to {B} under the contract of {date}?",
    "Under the sales contract that is in force from {date}, from whom does {B} buy?",
  ),
  term(
    "seller-address",
    "address",
    "The seller has its seat at {v}.",
    "What is the address of {A} in the sales contract with {B}?",
    "Where does {A} have its seat, as its sales contract with {B} says?",
    "Which address does {A} give as seller to {B}?",
  ),
  term(
    "customer-name",
    "company",
    "The customer is {v}.",
    "Who is the customer in the sales contract with {A} that took effect on {date}?",
    "Which company buys from {A} under the contract of {date}?",
    "Under the sales contract that is in force from {date}, to whom does {A} sell?",
  ),
  term(
    "customer-address",
    "address",
    "The customer has its seat at {v}.",
    "What is the address of {B} in the sales contract with {A}?",
    "Where does {B} have its seat, as its sales contract with {A} says?",
    "Which address does {B} give as customer of {A}?",
  ),
  term(
    "good",
    GOODS,
    "The seller shall deliver {v} to the customer.",
    "Which good is sold under the contract between {A} and {B}?",
    "What does {A} sell to {B}?",
    "What is it that {B} buys from {A}?",
  ),
  term(
    "quantity",
    numbers(1, 100),
    "The number of units is {v}.",
    "How many units of the good are sold under the contract between {A} and {B}?",
    "How many units does {A} sell to {B}?",
    "What quantity does {B} buy from {A}?",
  ),
  term(
    "unit-price",
    numbers(1, 100),
    "The price of one unit in dollars is {v}.",
    "What is the price of one unit in dollars under the sales contract between {A} and {B}?",
    "How many dollars does {B} pay {A} for a single unit?",
    "At how many dollars a unit does {A} sell to {B}?",
  ),
  term(
    "total-price",
    "product",
    "The price of all units in dollars is {v}.",
    "What is the total price in dollars under the sales contract between {A} and {B}?",
    "How many dollars does {B} owe {A} for all units together?",
    "What sum in dollars does {A} receive from {B} for the whole quantity?",
  ),
  term(
    "invoice-issued",
    numbers(1, 5),
    "After delivery the seller shall send an invoice; days allowed for it: {v}.",
    "Within how many days of delivery is an invoice sent under the sales contract between {A} and {B}?",
    "How many days after delivery may {A} take to send {B} the invoice?",
    "How soon after delivery, in days, must {B} have the invoice of {A}?",
  ),
  term(
    "invoice-due",
    numbers(5, 30, "", 5),
    "The customer shall pay the invoice in full within {v} days.",
    "Within how many days is the invoice to be paid under the sales contract between {A} and {B}?",
    "How many days does {B} have to pay the invoice of {A}?",
    "In how many days does {A} expect full payment from {B}?",
  ),
  term(
    "penalty-after",
    numbers(5, 30, "", 5),
    "What is unpaid after {v} days bears a penalty.",
    "After how many days does an unpaid balance bear a penalty under the sales contract between {A} and {B}?",
    "How many days pass before {A} may charge {B} a penalty for paying late?",
    "How long, in days, can {B} leave a balance to {A} unpaid without a penalty?",
  ),
  term(
    "late-interest",
    numbers(1, 5, "%"),
    "Interest on late payment is {v}.",
    "What is the interest on late payment under the sales contract between {A} and {B}?",
    "At what rate of interest does {B} pay {A} late?",
    "Which rate does {A} charge {B} on sums that are overdue?",
  ),
  term(
    "delivery-address",
    "address",
    "The good shall be delivered to {v}.",
    "To which address is the good delivered under the sales contract between {A} and {B}?",
    "Where does {A} deliver what it sells to {B}?",
    "At which address does {B} receive what it buys from {A}?",
  ),
  term(
    "shipping-method",
    SIDES,
    "How the good is shipped is decided by the {v}.",
    "Who decides how the good is shipped under the sales contract between {A} and {B}?",
    "Which side chooses the way of shipping when {A} sells to {B}?",
    "Is it the seller or the customer who settles how goods travel from {A} to {B}?",
  ),
  term(
    "shipping-cost",
    SIDES,
    "The cost of shipping is borne by the {v}.",
    "Who bears the cost of shipping under the sales contract between {A} and {B}?",
    "Which side pays for the shipping when {A} sells to {B}?",
    "Is it the seller or the customer who pays for goods to travel from {A} to {B}?",
  ),
  term(
    "warranty",
    numbers(1, 5),
    "The seller warrants the good; years of warranty: {v}.",
    "For how many years is the good warranted under the sales contract between {A} and {B}?",
    "How many years of warranty does {A} grant {B}?",
    "How long, in years, can {B} rely on the warranty of {A}?",
  ),
  term(
    "defect-notice",
    numbers(5, 30, "", 5),
    "The customer shall report a defect in writing within {v} days of finding it.",
    "Within how many days is a defect to be reported under the sales contract between {A} and {B}?",
    "How many days does {B} have to tell {A} of a defect?",
    "By what number of days after finding a defect must {A} have heard of it from {B}?",
  ),
  term(
    "cooling-off",
    numbers(3, 14),
    "Either party may withdraw within {v} days of signing.",
    "How many days does the cooling-off period last under the sales contract between {A} and {B}?",
    "For how many days after signing can {A} and {B} still withdraw from their sales contract?",
    "How long, in days, may {B} think its contract with {A} over?",
  ),
  term(
    "governing-law",
    STATES,
    "The law that governs this contract is that of {v}.",
    "Whose law governs the sales contract between {A} and {B}?",
    "Under the law of which state does {A} sell to {B}?",
    "Which jurisdiction did {A} and {B} choose for their sales contract?",
  ),
];

const EMPLOYMENT: readonly Term[] = [
  term(
    "employer-name",
    "company",
    "The employer is {v}.",
    "Who is the employer in the employment contract with {B} that began on {date}?",
    "Which company has employed {B} since {date}?",
    "For whom does {B} work under the contract of {date}?",
  ),
  term(
    "principal-location",
    "address",
    "The employer has its principal place of business at {v}.",
    "What is the principal place of business of {A} in the employment contract with {B}?",
    "Where does {A} carry on its business, as its employment contract with {B} says?",
    "Which address does {A} give as employer of {B}?",
  ),
  term(
    "employee-name",
    "person",
    "The employee is {v}.",
    "Who is the employee in the employment contract with {A} that began on {date}?",
    "Whom has {A} employed since {date}?",
    "Who works for {A} under the contract of {date}?",
  ),
  term(
    "employee-address",
    "address",
    "The employee lives at {v}.",
    "What is the address of {B} in the employment contract with {A}?",
    "Where does {B} live, as the employment contract with {A} says?",
    "Which address does {B} give as employee of {A}?",
  ),
  term(
    "start-date",
    "date",
    "The employment begins on {v}.",
    "What is the first day of work under the employment contract between {A} and {B}?",
    "Since when has {A} employed {B}?",
    "On which day did {B} begin to work for {A}?",
  ),
  term(
    "length",
    numbers(6, 48, " months"),
    "The employment lasts {v}.",
    "How many months does the employment last under the contract between {A} and {B}?",
    "For how many months does {A} employ {B}?",
    "What number of months is {B} to work for {A}?",
  ),
  term(
    "position",
    POSITIONS,
    "The employee works as {v}.",
    "What is the position of the employee under the contract between {A} and {B}?",
    "As what does {A} employ {B}?",
    "What is the job of {B} at {A}?",
  ),
  term(
    "work-location",
    "address",
    "The place of work is {v}.",
    "What is the place of work under the employment contract between {A} and {B}?",
    "Where does {B} work for {A}?",
    "To which address does {A} send {B} to work?",
  ),
  term(
    "day-begins",
    numbers(6, 10),
    "The working day begins at {v} o'clock.",
    "At which hour does the working day begin under the employment contract between {A} and {B}?",
    "At what hour of the morning does {B} start at {A}?",
    "From which hour on does {A} expect {B} at work?",
  ),
  term(
    "day-ends",
    numbers(14, 18),
    "The working day ends at {v} o'clock.",
    "At which hour does the working day end under the employment contract between {A} and {B}?",
    "At what hour of the afternoon may {B} leave {A}?",
    "Until which hour does {A} expect {B} at work?",
  ),
  term(
    "hourly-pay",
    numbers(10, 100),
    "The employee is paid {v} dollars an hour.",
    "How many dollars an hour are paid under the employment contract between {A} and {B}?",
    "What does {B} earn at {A}, in dollars an hour?",
    "What is one hour of the work of {B} worth to {A}, in dollars?",
  ),
  term(
    "pay-frequency",
    ["weekly", "bi-weekly", "monthly"],
    "Pay is due {v}.",
    "How often is pay due under the employment contract between {A} and {B}?",
    "At what intervals does {A} pay {B}?",
    "How often does {B} receive pay from {A}?",
  ),
  term(
    "benefit",
    BENEFITS,
    "Beyond pay the employee receives {v}.",
    "Which benefit is granted under the employment contract between {A} and {B}?",
    "What does {A} give {B} beyond pay?",
    "Which benefit does {B} enjoy at {A}?",
  ),
  term(
    "holiday",
    numbers(10, 30),
    "The employee has {v} days of paid holiday a year.",
    "How many days of paid holiday are granted under the employment contract between {A} and {B}?",
    "How many days a year can {B} be on paid holiday from {A}?",
    "What number of paid holidays does {A} grant {B} in a year?",
  ),
  term(
    "confidentiality",
    numbers(3, 12),
    "Confidential matters stay so for {v} months after the employment.",
    "For how many months after the employment does confidentiality last under the contract between {A} and {B}?",
    "How many months after leaving {A} must {B} keep its secrets?",
    "For what number of months does {A} forbid {B} to disclose confidential matters once the employment is over?",
  ),
  term(
    "sick-pay",
    numbers(7, 14),
    "The employee has {v} days of paid sick leave a year.",
    "How many days of paid sick leave are granted under the employment contract between {A} and {B}?",
    "On how many days a year can {B} be ill and still be paid by {A}?",
    "What number of days does {A} pay {B} in a year while ill?",
  ),
  term(
    "termination-notice",
    numbers(2, 12),
    "Either side may end the employment with {v} weeks' written notice.",
    "How many weeks' notice end the employment under the contract between {A} and {B}?",
    "With how many weeks' notice can {A} and {B} part?",
    "What notice, in weeks, must {B} give {A} before leaving?",
  ),
  term(
    "non-compete",
    numbers(6, 24),
    "The employee shall not compete with the employer for {v} months afterwards.",
    "For how many months does the ban on competing last under the contract between {A} and {B}?",
    "How many months after leaving may {B} not compete with {A}?",
    "For what number of months is {A} safe from competition by {B}?",
  ),
  term(
    "change-notice",
    numbers(2, 8),
    "The employer shall announce a change of these terms {v} weeks ahead.",
    "How many weeks ahead are changes announced under the employment contract between {A} and {B}?",
    "How many weeks before it changes the terms must {A} tell {B}?",
    "With what notice, in weeks, does {B} learn of new terms at {A}?",
  ),
  term(
    "governing-law",
    STATES,
    "The law that governs this contract is that of {v}.",
    "Whose law governs the employment contract between {A} and {B}?",
    "Under the law of which state does {A} employ {B}?",
    "Which jurisdiction did {A} and {B} choose for their employment contract?",
  ),
];

export const TERMS: Readonly<Record<Kind, readonly Term[]>> = { sale: SALE, employment: EMPLOYMENT };
