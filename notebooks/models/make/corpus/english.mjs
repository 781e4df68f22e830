/** English from a grammar: facts of the fixed world, and small stories whose objects and places can be followed. */
import * as w from "./world.mjs";

/** One fact as { q, a, s }: a question, its short answer, and sentences that say it (the answer last in the first). */
export function fact(rng) {
  return rng.weighted([
    [10, countryFact],
    [6, personFact],
    [1.5, elementFact],
    [1, opposite],
    [1.5, calendar],
  ])(rng);
}

function countryFact(rng) {
  return aboutCountry(rng.pick(w.countries), rng.weighted([[5, 0], [2, 1], [2, 2], [2, 3], [2, 4]]));
}

export function aboutCountry(c, which) {
  const name = w.the(c.name);
  switch (which) {
    case 0:
      return {
        q: `What is the capital of ${name}?`,
        a: c.capital,
        s: [`The capital of ${name} is ${c.capital}.`, `${c.capital} is the capital of ${name}.`],
      };
    case 1:
      return {
        q: `Where is ${name}?`,
        a: c.continent,
        s: [`${w.capitalise(name)} is a country in ${c.continent}.`, `${w.capitalise(name)} lies in ${c.continent}.`],
      };
    case 2:
      return {
        q: `Which language do people speak in ${name}?`,
        a: c.language,
        s: [`The language of ${name} is ${c.language}.`, `People in ${name} speak ${c.language}.`],
      };
    case 3:
      return {
        q: `What is the currency of ${name}?`,
        a: c.currency,
        s: [`The currency of ${name} is the ${c.currency}.`, `In ${name} people pay with the ${c.currency}.`],
      };
    default:
      return {
        q: `Which country has the capital ${c.capital}?`,
        a: c.name,
        s: [`The country with the capital ${c.capital} is ${name}.`, `${c.capital} is a city in ${name}.`],
      };
  }
}

function personFact(rng) {
  return aboutPerson(rng.pick(w.people), rng.int(0, 7));
}

export function aboutPerson(p, which) {
  const n = p.name;
  switch (which) {
    case 0:
      return { q: `Where does ${n} live?`, a: p.city, s: [`${n} lives in ${p.city}.`] };
    case 1:
      return { q: `What is the job of ${n}?`, a: p.job, s: [`The job of ${n} is ${p.job}.`, `${n} works as ${w.an(p.job)}.`] };
    case 2:
      return { q: `Which animal does ${n} own?`, a: p.pet, s: [`${n} owns ${w.an(p.pet)}.`, `The ${p.pet} belongs to ${n}.`] };
    case 3:
      return {
        q: `What is the favourite colour of ${n}?`,
        a: p.colour,
        s: [`The favourite colour of ${n} is ${p.colour}.`, `${n} likes the colour ${p.colour} best.`],
      };
    case 4:
      return { q: `Which instrument does ${n} play?`, a: p.instrument, s: [`${n} plays the ${p.instrument}.`] };
    case 5:
      return { q: `What does ${n} like to eat?`, a: p.food, s: [`${n} likes to eat ${p.food}.`] };
    case 6:
      return { q: `What is the hobby of ${n}?`, a: p.hobby, s: [`The hobby of ${n} is ${p.hobby}.`] };
    default:
      return { q: `When was ${n} born?`, a: String(p.born), s: [`${n} was born in ${p.born}.`] };
  }
}

function elementFact(rng) {
  const e = rng.pick(w.elements);
  return rng.chance(0.5)
    ? { q: `What is the symbol of ${e.name}?`, a: e.symbol, s: [`The symbol of ${e.name} is ${e.symbol}.`] }
    : { q: `What is the atomic number of ${e.name}?`, a: String(e.number), s: [`The atomic number of ${e.name} is ${e.number}.`] };
}

function opposite(rng) {
  const [a, b] = rng.pick(w.opposites);
  return { q: `What is the opposite of ${a}?`, a: b, s: [`The opposite of ${a} is ${b}.`] };
}

function calendar(rng) {
  const list = rng.chance(0.5) ? w.months : w.weekdays;
  const i = rng.int(0, list.length - 1);
  const next = list[(i + 1) % list.length];
  return { q: `What comes after ${list[i]}?`, a: next, s: [`After ${list[i]} comes ${next}.`] };
}

/** A document of facts: single lines, a paragraph on one subject, or questions with answers. */
export function factDocument(rng) {
  const kind = rng.weighted([[4, "lines"], [3, "subject"], [3, "questions"]]);
  const n = rng.weighted([[5, rng.int(1, 4)], [3, rng.int(5, 20)], [1, rng.int(20, 60)]]);
  if (kind === "questions") {
    return Array.from({ length: n }, () => fact(rng))
      .map((f) => `Question: ${f.q}\nAnswer: ${f.a}`)
      .join("\n\n");
  }
  if (kind === "lines") {
    const sep = rng.pick([" ", "\n"]);
    return Array.from({ length: n }, () => rng.pick(fact(rng).s)).join(sep);
  }
  const paragraphs = [];
  for (let i = 0; i < Math.ceil(n / 4); i++) {
    if (rng.chance(0.6)) {
      const c = rng.pick(w.countries);
      paragraphs.push(rng.sample([0, 1, 2, 3], rng.int(2, 4)).map((k) => rng.pick(aboutCountry(c, k).s)).join(" "));
    } else {
      const p = rng.pick(w.people);
      paragraphs.push(rng.sample([0, 1, 2, 3, 4, 5, 6, 7], rng.int(3, 6)).map((k) => rng.pick(aboutPerson(p, k).s)).join(" "));
    }
  }
  return paragraphs.join("\n\n");
}

const FEMALE = new Set("Anna Clara Elena Greta Ida Karin Mira Olga Rosa Tara Wanda Zoe Bella Diana Fatima".split(" "));
const pronoun = (name) => (FEMALE.has(name) ? "She" : "He");

/** A story in which two or three people move and carry things; it ends by saying where something is. */
export function story(rng, sentences = rng.int(4, 14)) {
  const who = rng.sample(w.firstNames, rng.int(2, 3));
  const at = new Map(who.map((n) => [n, rng.pick(w.places)]));
  const has = new Map();
  const out = [`One ${rng.pick(["morning", "evening", "afternoon", "night", "day"])} ${who[0]} was in the ${at.get(who[0])}.`];
  for (const n of who.slice(1)) out.push(`${n} was in the ${at.get(n)}.`);
  let last = "";
  for (let i = 0; i < sentences; i++) {
    const n = rng.pick(who);
    const subject = n === last && rng.chance(0.7) ? pronoun(n) : n;
    last = n;
    const thing = has.get(n);
    const roll = rng.next();
    if (roll < 0.4) {
      at.set(n, rng.pick(w.places.filter((p) => p !== at.get(n))));
      const place = at.get(n);
      const verb = rng.pick(["walked to", "went to", "ran to", "hurried to"]);
      out.push(thing && rng.chance(0.5) ? `${subject} carried the ${thing} to the ${place}.` : `${subject} ${verb} the ${place}.`);
    } else if (roll < 0.6 && !thing) {
      const t = rng.pick(w.things.filter((x) => ![...has.values()].includes(x)));
      has.set(n, t);
      out.push(`${subject} found ${w.an(`${rng.pick(w.colours)} ${t}`)} there.`);
    } else if (roll < 0.7 && thing) {
      const other = rng.pick(who.filter((x) => x !== n));
      if (has.get(other)) out.push(`${subject} looked at the ${thing} and smiled.`);
      else {
        has.delete(n);
        has.set(other, thing);
        out.push(`${subject} gave the ${thing} to ${other}.`);
      }
    } else if (roll < 0.85) {
      out.push(`${subject} was ${rng.pick(["happy", "tired", "hungry", "cold", "late", "quiet", "alone"])}, but the ${rng.pick(["sun", "wind", "rain", "moon", "sea"])} was ${rng.pick(["warm", "bright", "strong", "calm", "near"])}.`);
    } else {
      out.push(`"${rng.pick(["Where are you going", "What do you see", "Can you help me", "Do you hear the bell"])}?" asked ${rng.pick(who)}.`);
    }
  }
  const n = rng.pick(who);
  out.push(has.get(n) ? `In the end ${n} had the ${has.get(n)} and was in the ${at.get(n)}.` : `In the end ${n} was in the ${at.get(n)}.`);
  return out.join(" ");
}

export function storyDocument(rng) {
  return Array.from({ length: rng.weighted([[3, 1], [1, 2], [1, 4]]) }, () => story(rng)).join("\n\n");
}
