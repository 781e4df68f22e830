/** JSON text: records of the fixed world and of made-up things, compact or indented. */
import * as w from "./world.mjs";

const slug = (s) => s.toLowerCase().replaceAll(" ", "-");

function country(rng) {
  const c = rng.pick(w.countries);
  return { name: c.name, capital: c.capital, continent: c.continent, language: c.language, currency: c.currency };
}

function person(rng) {
  const p = rng.pick(w.people);
  return { id: rng.int(1, 999), name: p.name, city: p.city, job: p.job, pet: { kind: p.pet, age: rng.int(1, 15) }, born: p.born };
}

function order(rng) {
  const items = Array.from({ length: rng.int(1, 4) }, () => ({
    item: `${rng.pick(w.colours)} ${rng.pick(w.things)}`,
    count: rng.int(1, 9),
    price: rng.int(1, 99),
  }));
  return { order: rng.int(1000, 9999), items, total: items.reduce((t, i) => t + i.count * i.price, 0), paid: rng.chance(0.5) };
}

function event(rng) {
  return {
    time: `20${rng.int(10, 29)}-${String(rng.int(1, 12)).padStart(2, "0")}-${String(rng.int(1, 28)).padStart(2, "0")}T${String(rng.int(0, 23)).padStart(2, "0")}:${String(rng.int(0, 59)).padStart(2, "0")}:00Z`,
    level: rng.pick(["info", "warn", "error", "debug"]),
    source: `${rng.pick(["api", "cache", "queue", "store", "worker"])}-${rng.int(1, 9)}`,
    message: rng.pick(["started", "stopped", "request done", "retry later", "disk is full", "user logged in", "not found"]),
    ms: rng.int(0, 5000),
  };
}

function settings(rng) {
  const names = rng.sample(["theme", "size", "debug", "port", "host", "retries", "timeout", "cache", "lang", "depth"], rng.int(3, 7));
  const value = {
    theme: () => rng.pick(["dark", "light"]),
    size: () => rng.int(8, 24),
    debug: () => rng.chance(0.5),
    port: () => rng.pick([80, 443, 3000, 8080, 8888]),
    host: () => rng.pick(["localhost", "0.0.0.0", "example.org"]),
    retries: () => rng.int(0, 5),
    timeout: () => rng.int(1, 60) * 1000,
    cache: () => rng.pick([null, "memory", "disk"]),
    lang: () => rng.pick(["en", "fr", "de", "ja", "ar"]),
    depth: () => rng.int(1, 12),
  };
  return Object.fromEntries(names.map((n) => [n, value[n]()]));
}

export function jsonDocument(rng) {
  const make = rng.pick([country, person, order, event, settings]);
  const n = rng.weighted([[3, 1], [3, rng.int(2, 5)], [2, rng.int(5, 14)]]);
  const list = Array.from({ length: n }, () => make(rng));
  if (make === event && rng.chance(0.6)) return list.map((e) => JSON.stringify(e)).join("\n");
  const value = n === 1 ? list[0] : rng.chance(0.5) ? list : { [slug(make.name)]: list, count: n };
  return JSON.stringify(value, null, rng.chance(0.5) ? 2 : undefined);
}
