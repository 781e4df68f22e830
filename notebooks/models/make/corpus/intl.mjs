/**
 * Lines in many languages and scripts, all written by ICU through `Intl`: dates, numbers, money, units, lists, and the
 * names of countries, languages and currencies.
 */
const CANDIDATES =
  "af ak am ar as az be bg bm bn br bs ca cs cy da de dz ee el en eo es et eu fa ff fi fil fo fr fy ga gd gl gu ha he hi hr hu hy ia id ig is it ja jv ka kk kl km kn ko ks ku ky lb lg ln lo lt lv mg mi mk ml mn mr ms mt my nb nd ne nl nn om or os pa pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sn so sq sr su sv sw ta te tg th ti tk to tr tt ug uk ur uz vi wo xh yi yo zh zu zh-Hant sr-Latn uz-Cyrl pa-Arab az-Cyrl en-GB en-IN es-MX fr-CA pt-PT de-CH ar-EG ar-MA".split(" ");
// Read more often than the rest, so that their words are learnt and not only their letters.
const MAIN = "en fr de es it pt nl sv pl cs ru uk el tr ar he fa hi bn ta th ja ko zh vi id fi hu ro sw".split(" ");

export const locales = Intl.DateTimeFormat.supportedLocalesOf(CANDIDATES);
const REGIONS = "FR DE IT ES GB US JP CN IN BR RU EG KE MX TR GR SE NO PL UA KR TH VN CA AU ZA NG AR".split(" ");
const LANGUAGES = "en fr de es it pt nl sv pl ru el tr ar he hi ja ko zh".split(" ");
const MONEY = "USD EUR JPY GBP CNY INR BRL RUB TRY KES".split(" ");
const UNITS = "kilometer meter kilogram gram liter celsius hour minute day month percent kilobyte".split(" ");

const cache = new Map();
function formatter(kind, locale, options) {
  const key = `${kind} ${locale} ${JSON.stringify(options)}`;
  let f = cache.get(key);
  if (!f) cache.set(key, (f = new Intl[kind](locale, options)));
  return f;
}

const date = (rng) => new Date(Date.UTC(rng.int(1950, 2049), rng.int(0, 11), rng.int(1, 28), rng.int(0, 23), rng.int(0, 59)));
const amount = (rng) => rng.weighted([[2, rng.int(0, 99)], [2, rng.int(100, 999999)], [1, rng.int(0, 99999) / 100]]);

const LINES = {
  date: (rng, l) => formatter("DateTimeFormat", l, { dateStyle: rng.pick(["full", "long", "medium"]), timeZone: "UTC" }).format(date(rng)),
  time: (rng, l) => formatter("DateTimeFormat", l, { dateStyle: "medium", timeStyle: "short", timeZone: "UTC" }).format(date(rng)),
  weekday: (rng, l) => formatter("DateTimeFormat", l, { weekday: "long", month: "long", timeZone: "UTC" }).format(date(rng)),
  number: (rng, l) => formatter("NumberFormat", l, {}).format(amount(rng)),
  money: (rng, l) => formatter("NumberFormat", l, { style: "currency", currency: rng.pick(MONEY) }).format(amount(rng)),
  moneyName: (rng, l) => formatter("NumberFormat", l, { style: "currency", currency: rng.pick(MONEY), currencyDisplay: "name", maximumFractionDigits: 0 }).format(rng.int(1, 99)),
  unit: (rng, l) => formatter("NumberFormat", l, { style: "unit", unit: rng.pick(UNITS), unitDisplay: "long" }).format(rng.int(1, 99)),
  ago: (rng, l) => formatter("RelativeTimeFormat", l, { numeric: "auto" }).format(rng.int(-9, 9), rng.pick(["day", "week", "month", "year", "hour"])),
  list: (rng, l) => formatter("ListFormat", l, { type: rng.pick(["conjunction", "disjunction"]) }).format(rng.sample(REGIONS, 3).map((r) => regionName(l, r))),
  region: (rng, l) => regionName(l, rng.pick(REGIONS)),
  language: (rng, l) => languageName(l, rng.pick(LANGUAGES)),
};
const KINDS = Object.keys(LINES);

const regionName = (locale, code) => formatter("DisplayNames", locale, { type: "region" }).of(code);
const languageName = (locale, code) => formatter("DisplayNames", locale, { type: "language" }).of(code);

/** { text, lang }: one locale's lines, or one name in many languages (lang "mul"). */
export function intlDocument(rng) {
  if (rng.chance(0.12)) {
    const out = [];
    for (let i = rng.int(1, 4); i > 0; i--) {
      const code = rng.pick(REGIONS);
      const names = rng.sample(MAIN.filter((l) => l !== "en"), rng.int(4, 10)).map((l) => `${l}: ${regionName(l, code)}`);
      out.push(`${regionName("en", code)}\n${names.join("\n")}`);
    }
    return { text: out.join("\n\n"), lang: "mul" };
  }
  const lang = rng.chance(0.65) ? rng.pick(MAIN) : rng.pick(locales);
  const kinds = rng.sample(KINDS, rng.int(1, 5));
  const n = rng.weighted([[3, rng.int(2, 6)], [2, rng.int(6, 20)]]);
  const lines = Array.from({ length: n }, () => LINES[rng.pick(kinds)](rng, lang));
  return { text: (rng.chance(0.5) ? `${languageName("en", lang)}\n` : "") + lines.join("\n"), lang };
}
