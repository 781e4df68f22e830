/**
 * The fixed world that every domain speaks of: real countries and elements, invented people. It never changes with the
 * corpus seed, so a model that has read enough of it can be asked.
 */
import { Rng } from "./rng.mjs";

// country | capital | continent | language | currency
const COUNTRIES = `
Albania|Tirana|Europe|Albanian|lek
Algeria|Algiers|Africa|Arabic|dinar
Angola|Luanda|Africa|Portuguese|kwanza
Argentina|Buenos Aires|South America|Spanish|peso
Armenia|Yerevan|Asia|Armenian|dram
Australia|Canberra|Oceania|English|dollar
Austria|Vienna|Europe|German|euro
Azerbaijan|Baku|Asia|Azerbaijani|manat
Bahrain|Manama|Asia|Arabic|dinar
Bangladesh|Dhaka|Asia|Bengali|taka
Belarus|Minsk|Europe|Belarusian|rouble
Belgium|Brussels|Europe|Dutch|euro
Bhutan|Thimphu|Asia|Dzongkha|ngultrum
Bolivia|Sucre|South America|Spanish|boliviano
Botswana|Gaborone|Africa|English|pula
Brazil|Brasilia|South America|Portuguese|real
Bulgaria|Sofia|Europe|Bulgarian|lev
Cambodia|Phnom Penh|Asia|Khmer|riel
Cameroon|Yaounde|Africa|French|franc
Canada|Ottawa|North America|English|dollar
Chad|Ndjamena|Africa|French|franc
Chile|Santiago|South America|Spanish|peso
China|Beijing|Asia|Chinese|yuan
Colombia|Bogota|South America|Spanish|peso
Croatia|Zagreb|Europe|Croatian|euro
Cuba|Havana|North America|Spanish|peso
Cyprus|Nicosia|Europe|Greek|euro
Denmark|Copenhagen|Europe|Danish|krone
Ecuador|Quito|South America|Spanish|dollar
Egypt|Cairo|Africa|Arabic|pound
Eritrea|Asmara|Africa|Tigrinya|nakfa
Estonia|Tallinn|Europe|Estonian|euro
Ethiopia|Addis Ababa|Africa|Amharic|birr
Fiji|Suva|Oceania|Fijian|dollar
Finland|Helsinki|Europe|Finnish|euro
France|Paris|Europe|French|euro
Gabon|Libreville|Africa|French|franc
Georgia|Tbilisi|Asia|Georgian|lari
Germany|Berlin|Europe|German|euro
Ghana|Accra|Africa|English|cedi
Greece|Athens|Europe|Greek|euro
Guyana|Georgetown|South America|English|dollar
Haiti|Port-au-Prince|North America|Haitian|gourde
Honduras|Tegucigalpa|North America|Spanish|lempira
Hungary|Budapest|Europe|Hungarian|forint
Iceland|Reykjavik|Europe|Icelandic|krona
India|New Delhi|Asia|Hindi|rupee
Indonesia|Jakarta|Asia|Indonesian|rupiah
Iran|Tehran|Asia|Persian|rial
Iraq|Baghdad|Asia|Arabic|dinar
Ireland|Dublin|Europe|Irish|euro
Italy|Rome|Europe|Italian|euro
Jamaica|Kingston|North America|English|dollar
Japan|Tokyo|Asia|Japanese|yen
Jordan|Amman|Asia|Arabic|dinar
Kazakhstan|Astana|Asia|Kazakh|tenge
Kenya|Nairobi|Africa|Swahili|shilling
Kuwait|Kuwait City|Asia|Arabic|dinar
Laos|Vientiane|Asia|Lao|kip
Latvia|Riga|Europe|Latvian|euro
Lebanon|Beirut|Asia|Arabic|pound
Libya|Tripoli|Africa|Arabic|dinar
Lithuania|Vilnius|Europe|Lithuanian|euro
Luxembourg|Luxembourg|Europe|Luxembourgish|euro
Madagascar|Antananarivo|Africa|Malagasy|ariary
Malaysia|Kuala Lumpur|Asia|Malay|ringgit
Mali|Bamako|Africa|French|franc
Malta|Valletta|Europe|Maltese|euro
Mexico|Mexico City|North America|Spanish|peso
Moldova|Chisinau|Europe|Romanian|leu
Mongolia|Ulaanbaatar|Asia|Mongolian|tugrik
Morocco|Rabat|Africa|Arabic|dirham
Mozambique|Maputo|Africa|Portuguese|metical
Namibia|Windhoek|Africa|English|dollar
Nepal|Kathmandu|Asia|Nepali|rupee
Netherlands|Amsterdam|Europe|Dutch|euro
New Zealand|Wellington|Oceania|English|dollar
Nigeria|Abuja|Africa|English|naira
Norway|Oslo|Europe|Norwegian|krone
Oman|Muscat|Asia|Arabic|rial
Pakistan|Islamabad|Asia|Urdu|rupee
Panama|Panama City|North America|Spanish|balboa
Paraguay|Asuncion|South America|Spanish|guarani
Peru|Lima|South America|Spanish|sol
Philippines|Manila|Asia|Filipino|peso
Poland|Warsaw|Europe|Polish|zloty
Portugal|Lisbon|Europe|Portuguese|euro
Qatar|Doha|Asia|Arabic|riyal
Romania|Bucharest|Europe|Romanian|leu
Russia|Moscow|Europe|Russian|rouble
Rwanda|Kigali|Africa|Kinyarwanda|franc
Samoa|Apia|Oceania|Samoan|tala
Senegal|Dakar|Africa|French|franc
Serbia|Belgrade|Europe|Serbian|dinar
Slovakia|Bratislava|Europe|Slovak|euro
Slovenia|Ljubljana|Europe|Slovenian|euro
Somalia|Mogadishu|Africa|Somali|shilling
Spain|Madrid|Europe|Spanish|euro
Sudan|Khartoum|Africa|Arabic|pound
Sweden|Stockholm|Europe|Swedish|krona
Switzerland|Bern|Europe|German|franc
Syria|Damascus|Asia|Arabic|pound
Tanzania|Dodoma|Africa|Swahili|shilling
Thailand|Bangkok|Asia|Thai|baht
Tunisia|Tunis|Africa|Arabic|dinar
Turkey|Ankara|Asia|Turkish|lira
Uganda|Kampala|Africa|English|shilling
Ukraine|Kyiv|Europe|Ukrainian|hryvnia
Uruguay|Montevideo|South America|Spanish|peso
Uzbekistan|Tashkent|Asia|Uzbek|som
Venezuela|Caracas|South America|Spanish|bolivar
Vietnam|Hanoi|Asia|Vietnamese|dong
Yemen|Sanaa|Asia|Arabic|rial
Zambia|Lusaka|Africa|English|kwacha
Zimbabwe|Harare|Africa|English|dollar`;

export const countries = COUNTRIES.trim()
  .split("\n")
  .map((line) => {
    const [name, capital, continent, language, currency] = line.split("|");
    return { name, capital, continent, language, currency };
  });

/** Chemical elements in order, from atomic number 1. */
export const elements =
  "hydrogen H,helium He,lithium Li,beryllium Be,boron B,carbon C,nitrogen N,oxygen O,fluorine F,neon Ne,sodium Na,magnesium Mg,aluminium Al,silicon Si,phosphorus P,sulfur S,chlorine Cl,argon Ar,potassium K,calcium Ca"
    .split(",")
    .map((e, i) => ({ name: e.split(" ")[0], symbol: e.split(" ")[1], number: i + 1 }));

export const opposites =
  "hot cold,big small,high low,fast slow,light dark,open closed,early late,full empty,hard soft,near far,new old,wet dry,loud quiet,rich poor,strong weak,young old,happy sad,clean dirty,deep shallow,thick thin"
    .split(",")
    .map((p) => p.split(" "));

export const months =
  "January February March April May June July August September October November December".split(" ");
export const weekdays = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split(" ");

export const colours = "red blue green yellow white black brown orange purple pink grey silver golden".split(" ");
export const animals = "cat dog horse parrot rabbit goat turtle falcon otter fox owl donkey hamster lizard swan".split(" ");
export const things =
  "lamp book key map cup bell drum coin rope box kite clock mirror basket ladder hammer candle violin camera letter".split(" ");
export const places =
  "kitchen garden library market station harbour bridge tower museum forest school bakery workshop cellar attic".split(" ");
export const jobs =
  "baker doctor teacher pilot painter farmer judge nurse sailor tailor writer singer gardener chemist engineer".split(" ");
export const instruments = "piano violin flute guitar drum harp trumpet cello".split(" ");
export const foods = "bread soup rice apples cheese honey noodles pancakes olives plums fish beans".split(" ");
export const hobbies = "chess sailing drawing running reading fishing cooking dancing climbing singing".split(" ");

const FIRST =
  "Anna Bruno Clara David Elena Felix Greta Hugo Ida Jonas Karin Leo Mira Nils Olga Pavel Rosa Simon Tara Viktor Wanda Yusuf Zoe Amir Bella Carlos Diana Emil Fatima Igor".split(" ");
const LAST =
  "Berg Costa Duval Ekman Fischer Garcia Hansen Ivanov Jensen Kovac Larsen Moreau Novak Okafor Petrov Quist Rossi Silva Tanaka Weber".split(" ");

/** A hundred people, each with the same facts in every corpus. */
export const people = (() => {
  const rng = new Rng("people of the world");
  const out = [];
  const seen = new Set();
  while (out.length < 100) {
    const name = `${rng.pick(FIRST)} ${rng.pick(LAST)}`;
    if (seen.has(name)) continue;
    seen.add(name);
    out.push({
      name,
      city: rng.pick(countries).capital,
      job: rng.pick(jobs),
      pet: rng.pick(animals),
      colour: rng.pick(colours),
      instrument: rng.pick(instruments),
      food: rng.pick(foods),
      hobby: rng.pick(hobbies),
      born: rng.int(1950, 2005),
    });
  }
  return out;
})();

export const firstNames = FIRST;
export const lastNames = LAST;

/** The article in front of a country's name. */
export const the = (name) => (name === "Netherlands" || name === "Philippines" ? `the ${name}` : name);
export const an = (word) => (/^[aeiou]/i.test(word) ? `an ${word}` : `a ${word}`);
export const capitalise = (s) => s[0].toUpperCase() + s.slice(1);

const UNITS =
  "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split(" ");
const TENS = "x ten twenty thirty forty fifty sixty seventy eighty ninety".split(" ");

/** English words for 0 to 99. */
export function numberWord(n) {
  if (n < 20) return UNITS[n];
  return n % 10 === 0 ? TENS[Math.floor(n / 10)] : `${TENS[Math.floor(n / 10)]}-${UNITS[n % 10]}`;
}
