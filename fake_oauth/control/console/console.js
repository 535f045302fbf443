// @ts-check
/**
 * The console: what happened at the server, and its controls, over the control API.
 *
 * A section has a loader, which reads what the section shows into `state`, and a renderer, which
 * makes elements of the state. `fill` changes the elements of the page to be like them, so focus,
 * selection, and scroll position stay. Text reaches the page as text nodes only, by `h`.
 *
 * @typedef {{number: number, at: string, method: string, path: string, endpoint: string | null,
 *   grant_type: string | null, client_id: string | null, status: number | null,
 *   error: string | null, cause: string | null, tokens: Record<string, string>, issued: string[],
 *   reason: string | null, fault: string | null, line: string, answered: boolean}} Exchange
 * @typedef {Exchange & {query: Record<string, string>, form: Record<string, string>,
 *   content_type: string | null, headers: Record<string, string>, reply: unknown,
 *   response_headers: Record<string, string>, curl: string, pytest: string}} WholeExchange
 * @typedef {{number: number, client_id: string | null, status: number | null,
 *   error: string | null}} Presentation
 * @typedef {{name: string, kind: string, state: string, why: string | null,
 *   expires_at: string | null, issued_by: number | null, from: string | null,
 *   presented: Presentation[], presented_before: number}} Token
 * @typedef {{name: string, user: string | null, sub: string, client_id: string, scopes: string[],
 *   state: string, why: string | null, tokens: Token[], earlier: number}} Family
 * @typedef {{token: Token, branches: TreeNode[][]}} TreeNode
 * @typedef {{step: string, fault: string, used: number, left: number, times?: number | string,
 *   [argument: string]: unknown}} Step
 * @typedef {{type?: string | string[], enum?: unknown[], const?: unknown, anyOf?: Schema[],
 *   default?: unknown, description?: string, title?: string, required?: string[],
 *   properties?: Record<string, Schema>, [other: string]: unknown}} Schema
 * @typedef {{now: string, frozen: boolean,
 *   next_expiry: {at: string, token: string} | null}} ServerClock
 * @typedef {{path: string, message: string}} Problem
 * @typedef {Record<string, any>} Data
 * @typedef {Node | string | null | undefined | false} Child
 */

// How many rows of exchanges are on the page before "Show more", and how many it adds.
const ROWS = 200;
// How many exchanges the page keeps.
const KEPT = 1000;
// How many of the latest exchanges are read again: a late event can change their reason.
const OVERLAP = 8;
const RETRY_MILLISECONDS = 2000;
const TIMEOUT_MILLISECONDS = 15_000;
const SAID_MILLISECONDS = 4000;
// Where the clock of the server stops: what expires then, or later, never expires by it.
const LAST_MOMENT = "9999-12-31T23:59:59Z";
// The endpoints that a client reads before it does anything.
const METADATA = ["discovery", "metadata", "resource_metadata", "jwks"];
// The headers that a browser or an HTTP library sends by itself, and that decide nothing here.
const USUAL_HEADERS = new RegExp(
  "^(sec-.*|accept(-.*)?|user-agent|host|connection|keep-alive|content-length|te|priority|dnt" +
    "|upgrade-insecure-requests|cache-control|pragma)$",
  "i",
);

// State

const state = {
  /** @type {{issuer: string, dialect: string, seed: number} | null} */ server: null,
  /** @type {ServerClock | null} */
  clock: null,
  /** When `clock` was read, by the clock of the page. */ readAt: 0,
  live: "connecting",
  /** What went wrong, by its place. @type {Map<string, string>} */ errors: new Map(),

  /** Oldest first. @type {Exchange[]} */ exchanges: [],
  forgotten: 0,
  /**
   * The rows that are open, with what was read for them.
   *
   * @type {Map<number, {version: string, exchange: WholeExchange | null}>}
   */
  open: new Map(),
  rows: ROWS,
  /** The latest exchange that is shown while paused. @type {number | null} */ pausedAt: null,

  /** @type {Family[]} */ families: [],
  earlier: 0,
  /** @type {Step[]} */ steps: [],
  /** @type {Record<string, Schema> | null} */ kinds: null,
  /** Problems of the fault's form, by field. @type {Map<string, string>} */ problems: new Map(),
  /**
   * What is said of the fault that was added, as long as so many steps are left.
   *
   * @type {{text: string, left: number} | null}
   */
  added: null,
  /** @type {Data[]} */ clients: [],
  /** @type {Data[]} */ registered: [],
  /** The clients whose secret is shown. @type {Set<string>} */ secrets: new Set(),
  /** @type {Data[]} */ users: [],
  /** Who is logged in in every browser. @type {string | null} */ login: null,
  /** @type {Data[]} */ keys: [],
  /** @type {Data[]} */ messages: [],
  /** @type {Data[]} */ violations: [],
  toml: "",
};

let isDue = false;

/** Change the state, and render it soon. @param {Partial<typeof state>} changes */
function set(changes) {
  Object.assign(state, changes);
  if (isDue) return;
  isDue = true;
  queueMicrotask(() => {
    isDue = false;
    render();
  });
}

// Elements

/**
 * Return an element. Attributes that are null or false are left out, except those of ARIA, in which
 * false has a meaning. Strings become text.
 *
 * @param {string} tag
 * @param {Record<string, unknown>} [attributes]
 * @param {...(Child | Child[])} children
 */
function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    const isBoolean = typeof value === "boolean" && !name.startsWith("aria-");
    if (isBoolean) element.toggleAttribute(name, value);
    else if (value != null) element.setAttribute(name, String(value));
  }
  for (const child of children.flat()) if (child) element.append(child);
  return element;
}

/** Return the element with an id. @param {string} id @returns {any} */
function byId(id) {
  return document.getElementById(id);
}

/**
 * Make the children of an element like these, in order.
 *
 * @param {Element} parent
 * @param {Child[]} children
 */
function fill(parent, children) {
  const nodes = children.filter(Boolean).map(nodeOf);
  const wanted = new Set(nodes.map(keyOf).filter(Boolean));
  const kept = new Map();
  for (const child of [...parent.children]) {
    const key = keyOf(child);
    if (key && wanted.has(key)) kept.set(key, child);
    else if (key) child.remove();
  }
  /** @type {ChildNode | null} */
  let next = parent.firstChild;
  for (const node of nodes) {
    const key = keyOf(node);
    const match = key ? kept.get(key) : next && !keyOf(next) && areAlike(next, node) ? next : null;
    if (match && match !== node) morph(match, node);
    const shown = match ?? node;
    if (next && shown === next) next = next.nextSibling;
    else parent.insertBefore(shown, next);
  }
  while (next) {
    const following = next.nextSibling;
    next.remove();
    next = following;
  }
}

/** Make a node like another one of its kind. @param {any} old @param {any} fresh */
function morph(old, fresh) {
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  for (const { name } of [...old.attributes]) {
    // Whether details are open is the reader's choice.
    if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  fill(old, [...fresh.childNodes]);
}

/** @param {any} child @returns {Node} */
function nodeOf(child) {
  return child instanceof Node ? child : document.createTextNode(child);
}

/** @param {Node} node */
function keyOf(node) {
  return node instanceof HTMLElement ? node.dataset.key : undefined;
}

/** @param {Node} one @param {Node} other */
function areAlike(one, other) {
  return one.nodeType === other.nodeType && one.nodeName === other.nodeName;
}

/**
 * Elements that are made again only if their item has another version. They are the children of one
 * element of the page, which `fill` gets.
 *
 * @template Item
 */
class Elements {
  /** @type {Map<string, {version: string, element: HTMLElement}>} */ #made = new Map();

  /**
   * @param {(item: Item) => string} key
   * @param {(item: Item) => string} version
   * @param {(item: Item) => HTMLElement} make
   */
  constructor(key, version, make) {
    this.key = key;
    this.version = version;
    this.make = make;
  }

  /** Return an element for each item. @param {Item[]} items */
  of(items) {
    const made = new Map(items.map((item) => [this.key(item), this.#element(item)]));
    this.#made = made;
    return [...made.values()].map(({ element }) => element);
  }

  /** @param {Item} item */
  #element(item) {
    const key = this.key(item);
    const version = this.version(item);
    const kept = this.#made.get(key);
    if (kept?.version === version) return kept;
    const element = this.make(item);
    element.dataset.key = key;
    if (!kept) return { version, element };
    morph(kept.element, element);
    return { version, element: kept.element };
  }
}

const SVG = "http://www.w3.org/2000/svg";
const SHAPES = {
  active: "M8 2.5a5.5 5.5 0 1 1 0 11a5.5 5.5 0 0 1 0-11z",
  spent: "M8 3.5a4.5 4.5 0 1 1 0 9a4.5 4.5 0 0 1 0-9z",
  expired: "M8 2l6 6-6 6-6-6z",
  revoked: "M3 3l10 10M13 3L3 13",
  ok: "M8 3a5 5 0 1 1 0 10A5 5 0 0 1 8 3z",
  redirect: "M2.5 8h10M8.5 4l4 4-4 4",
  refused: "M8 2.5l6 11H2z",
  failed: "M3 3h10v10H3z",
  lost: "M3 3l10 10M13 3L3 13",
  waiting: "M8 3a5 5 0 1 1 0 10A5 5 0 0 1 8 3z",
};

/** Return the shape of a state, for the eye only. @param {string} name */
function shape(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("class", `shape ${name}`);
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", SHAPES[/** @type {keyof typeof SHAPES} */ (name)] ?? SHAPES.ok);
  svg.append(path);
  return svg;
}

/** Return a state in word, color, and shape. @param {string} name @param {...Child} words */
function badge(name, ...words) {
  return h("span", { class: `badge ${name}` }, shape(name), ...(words.length ? words : [name]));
}

/** @param {string} action @param {Record<string, unknown>} attributes @param {...Child} words */
function button(action, attributes, ...words) {
  return h("button", { type: "button", "data-action": action, ...attributes }, ...words);
}

/**
 * Return a link to a place in the console.
 *
 * @param {string} section
 * @param {string | number} argument
 * @param {...Child} words
 */
function link(section, argument, ...words) {
  return h("a", { href: `#${section}/${encodeURIComponent(argument)}` }, ...words);
}

/** Return text in which "request 12" is a link. @param {string} text @returns {Child[]} */
function withLinks(text) {
  return text.split(/(requests? \d+)/).map((part) => {
    const number = /^requests? (\d+)$/.exec(part)?.[1];
    return number ? link("exchanges", number, part) : part;
  });
}

/** @param {string} text */
function code(text) {
  return h("code", {}, text);
}

/** @param {string} text */
function wire(text, attributes = {}) {
  return h("pre", { class: "wire", tabindex: 0, ...attributes }, text);
}

/** @param {...Child} words */
function empty(...words) {
  return h("p", { class: "empty" }, ...words);
}

/** The heading of a column of buttons, which only a screen reader needs. */
const ACTIONS_HEADING = "Actions";

/**
 * Return a table in a box that scrolls sideways by itself. On a narrow screen, each row is a card.
 * Then it is no table for the style, so the roles say that it is one.
 *
 * @param {string} title
 * @param {string[]} headings
 * @param {HTMLElement[]} rows
 */
function table(title, headings, rows) {
  const cells = headings.map((heading) => {
    const isHidden = heading === ACTIONS_HEADING;
    const shown = isHidden ? h("span", { class: "hidden" }, heading) : heading;
    return h("th", { role: "columnheader", scope: "col" }, shown);
  });
  for (const { children } of rows) {
    headings.forEach((heading, place) => {
      if (heading !== ACTIONS_HEADING) children[place].setAttribute("data-label", heading);
    });
  }
  return h(
    "div",
    { class: "scroll", tabindex: 0, role: "region", "aria-label": `Table of ${title}` },
    h(
      "table",
      { role: "table", "aria-label": title },
      h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, cells)),
      h("tbody", { role: "rowgroup" }, rows),
    ),
  );
}

/** @param {string} key @param {Child} heading @param {(Child | Child[])[]} cells */
function row(key, heading, cells) {
  const others = cells.map((cell) => h("td", { role: "cell" }, cell));
  const first = h("th", { role: "rowheader", scope: "row" }, heading);
  return h("tr", { role: "row", "data-key": key }, first, others);
}

// Time

/** Return the server's time, in milliseconds since 1970; null if it is not known yet. */
function serverNow() {
  if (!state.clock) return null;
  const read = Date.parse(state.clock.now);
  return state.clock.frozen ? read : read + performance.now() - state.readAt;
}

/** Return the time of day of a moment. @param {string | number} moment */
function timeOfDay(moment) {
  return new Date(moment).toISOString().slice(11, 19);
}

/** Return a date and time. @param {string | number} moment */
function dateAndTime(moment) {
  return new Date(moment).toISOString().slice(0, 19).replace("T", " ");
}

/** Return the server's date. */
function today() {
  return dateAndTime(serverNow() ?? 0).slice(0, 10);
}

/** Return a moment, without the date if it is today's. @param {string} moment */
function brief(moment) {
  return dateAndTime(moment).startsWith(today()) ? timeOfDay(moment) : dateAndTime(moment);
}

/** @type {[string, number][]} */
const UNITS = [
  ["d", 86_400],
  ["h", 3600],
  ["min", 60],
  ["s", 1],
];

/** Return a number of seconds in its two largest units. @param {number} seconds */
function lasting(seconds) {
  let rest = Math.max(0, Math.floor(seconds));
  const parts = [];
  for (const [unit, size] of UNITS) {
    if (parts.length < 2 && (rest >= size || (unit === "s" && !parts.length))) {
      parts.push(`${Math.floor(rest / size)} ${unit}`);
    }
    rest %= size;
  }
  return parts.join(" ");
}

/** Return how far away the end of a lifetime is. @param {string} moment */
function untilText(moment) {
  const seconds = (Date.parse(moment) - (serverNow() ?? 0)) / 1000;
  return seconds > 0 ? `expires in ${lasting(seconds)}` : `expired ${lasting(-seconds)} ago`;
}

// The control API

/** A refusal of the control API. */
class APIError extends Error {
  /** @param {number} status @param {Data} data */
  constructor(status, data) {
    /** @type {Problem[]} */
    const problems = data.problems ?? [];
    const told = problems.map(({ path, message }) => `${path}: ${message}`).join("\n");
    super(told || data.error_description || `the server responded with ${status}`);
    this.problems = problems;
  }
}

/** No response of the server. */
class UnreachableError extends Error {}

/**
 * Return the response of the control API. Raise APIError or UnreachableError.
 *
 * @param {string} method @param {string} path @param {unknown} [body] @returns {Promise<Data>}
 */
async function api(method, path, body) {
  const headers = { Accept: "application/json", "Content-Type": "application/json" };
  const signal = AbortSignal.timeout(TIMEOUT_MILLISECONDS);
  const sent = body === undefined ? undefined : JSON.stringify(body);
  let response;
  let data;
  try {
    response = await fetch(path, { method, headers, body: sent, signal });
    data = await response.text();
  } catch {
    throw new UnreachableError("the server does not respond");
  }
  const decoded = jsonOrUndefined(data) ?? {};
  if (!response.ok) throw new APIError(response.status, decoded);
  return decoded;
}

/** @param {string} text */
function jsonOrUndefined(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

// Loading: never two at once, and nothing while the page is hidden

let isLoading = false;
let isStale = false;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let retry;

/** Read again what the page shows. */
async function refresh() {
  isStale = true;
  if (isLoading || document.hidden) return;
  isLoading = true;
  try {
    while (isStale && !document.hidden) {
      isStale = false;
      await Promise.all([loadServer(), loadClock(), SECTIONS[route().section].load()]);
      if (state.live === "reconnecting") {
        // A server that was away can be another one by now.
        set({ server: null, kinds: null });
        isStale = true;
      }
      set({ live: "live" });
    }
    forget("load");
  } catch (error) {
    if (error instanceof UnreachableError) {
      set({ live: "reconnecting" });
      clearTimeout(retry);
      retry = setTimeout(refresh, RETRY_MILLISECONDS);
    } else {
      report("load", error);
    }
  } finally {
    isLoading = false;
  }
}

async function loadServer() {
  if (state.server) return;
  const { issuer, dialect, seed } = await api("GET", "./");
  set({ server: { issuer, dialect, seed } });
}

async function loadClock() {
  const clock = await api("GET", "clock");
  set({ clock: /** @type {any} */ (clock), readAt: performance.now() });
}

async function loadExchanges() {
  const kept = state.exchanges;
  const last = kept.at(-1)?.number ?? 0;
  const waiting = kept.find((exchange) => !exchange.answered)?.number ?? last;
  const after = Math.max(0, Math.min(waiting - 1, last - OVERLAP));
  const read = await api("GET", `journal?brief=true&latest=${KEPT}&after=${after}`);
  /** @type {Map<number, Exchange>} */
  const found = new Map(read.exchanges.map((/** @type {Exchange} */ one) => [one.number, one]));
  const isOther = kept.some(({ number, at, path }) => {
    const again = found.get(number);
    const isRead = number > Math.max(after, read.forgotten);
    return isRead && (again?.at !== at || again.path !== path);
  });
  if (isOther) {
    // The server was reset, and counts from 1 again.
    set({ exchanges: [], open: new Map(), pausedAt: null });
    leaveExchange();
    await loadExchanges();
    return;
  }
  const exchanges = [...kept.filter(({ number }) => number <= after), ...found.values()];
  set({ exchanges: exchanges.slice(-KEPT), forgotten: read.forgotten });
  await loadOpenExchanges();
}

/** Read each open exchange that is not read yet, or that has changed. */
async function loadOpenExchanges() {
  for (const exchange of state.exchanges) {
    const open = state.open.get(exchange.number);
    if (!open || open.version === versionOf(exchange)) continue;
    const whole = await api("GET", `exchange?number=${exchange.number}`);
    open.version = versionOf(exchange);
    open.exchange = /** @type {WholeExchange} */ (whole);
    set({});
  }
}

/** @param {Exchange} exchange */
function versionOf(exchange) {
  return `${exchange.answered} ${exchange.line}`;
}

async function loadFamilies() {
  const { families, earlier } = await api("GET", "families?latest=50");
  set({ families, earlier });
}

async function loadFaults() {
  const { added } = state;
  const [{ steps }, { clients }] = await Promise.all([
    api("GET", "steps"),
    api("GET", "clients"),
    loadExchanges(),
  ]);
  set({ steps, clients });
  // What was read before the fault was added says nothing about it.
  if (added === state.added && added?.left !== steps.filter(isLeft).length) set({ added: null });
  await loadSchema();
}

async function loadSchema() {
  if (state.kinds) return;
  const schema = await api("GET", "schema");
  set({ kinds: schema.$defs });
}

async function loadClients() {
  const [{ clients }, registered] = await Promise.all([
    api("GET", "clients"),
    api("GET", "registered_clients"),
  ]);
  set({ clients, registered: registered.clients });
}

async function loadUsers() {
  const [{ users }, { user }] = await Promise.all([api("GET", "users"), api("GET", "login")]);
  set({ users, login: user });
}

async function loadKeys() {
  const { keys } = await api("GET", "keys");
  set({ keys });
}

async function loadOutbox() {
  const { messages } = await api("GET", "outbox");
  set({ messages });
}

async function loadViolations() {
  const { violations } = await api("GET", "violations");
  set({ violations });
}

async function loadSettings() {
  const { toml } = await api("GET", "settings");
  set({ toml });
}

// Live: server-sent events while the page is visible

/** @type {EventSource | null} */
let stream = null;

function connect() {
  if (stream || document.hidden) return;
  stream = new EventSource("events");
  stream.addEventListener("change", refresh);
  stream.addEventListener("error", lost);
}

function disconnect() {
  stream?.close();
  stream = null;
}

/** Find out whether the server or only the stream has ended, and try again. */
async function lost() {
  // The browser connects again by itself, except after a response that is not a stream.
  if (stream?.readyState === EventSource.CLOSED) {
    disconnect();
    setTimeout(connect, RETRY_MILLISECONDS);
  }
  await refresh();
}

// Errors

/** Show an error until the same thing succeeds. @param {string} place @param {unknown} error */
function report(place, error) {
  const text = error instanceof Error ? error.message : String(error);
  set({ errors: new Map(state.errors).set(place, text) });
}

/** @param {string} place */
function forget(place) {
  if (!state.errors.has(place)) return;
  const errors = new Map(state.errors);
  errors.delete(place);
  set({ errors });
}

/** @type {ReturnType<typeof setTimeout> | undefined} */
let silence;

/** Say for a moment that something is done. @param {string} text */
function say(text) {
  byId("said").textContent = text;
  clearTimeout(silence);
  silence = setTimeout(() => (byId("said").textContent = ""), SAID_MILLISECONDS);
}

// Rendering: the header, and the open section

function render() {
  const { section } = route();
  const places = focusablePlaces();
  renderServer();
  renderClock();
  renderErrors();
  for (const name of Object.keys(SECTIONS)) byId(`section-${name}`).hidden = name !== section;
  for (const item of document.querySelectorAll("nav a")) {
    if (item.getAttribute("href") === `#${section}`) item.setAttribute("aria-current", "page");
    else item.removeAttribute("aria-current");
  }
  SECTIONS[section].render();
  keepFocus(places);
  goToTarget();
}

/** Return the element with the focus, and the places around it that can have the focus. */
function focusablePlaces() {
  const places = [];
  for (let place = document.activeElement; place; place = place.parentElement) {
    if (place === document.activeElement || place.matches("[tabindex]")) places.push(place);
  }
  return places;
}

/**
 * Move the focus to the nearest place that is left, if its element is gone.
 *
 * @param {Element[]} places
 */
function keepFocus(places) {
  if (places[0]?.isConnected !== false) return;
  const nearest = /** @type {HTMLElement | undefined} */ (
    places.find((place) => place.isConnected)
  );
  nearest?.focus({ preventScroll: true });
}

function renderServer() {
  const live = byId("live");
  live.dataset.state = state.live;
  if (live.textContent !== state.live) live.textContent = state.live;
  if (!state.server) return;
  const { issuer, dialect, seed } = state.server;
  fill(byId("server"), [
    h("span", { class: "issuer", title: "The issuer" }, issuer),
    h("span", { title: "The dialect" }, dialect),
    h("span", { title: "The seed of the IDs" }, `seed\u00a0${seed}`),
  ]);
}

function renderClock() {
  const { clock } = state;
  if (!clock) return;
  fill(byId("clock-state"), [clock.frozen ? "UTC, frozen" : "UTC, running"]);
  byId("clock").dataset.frozen = clock.frozen;
  fill(byId("freeze"), [clock.frozen ? "Run" : "Freeze"]);
  const next = clock.next_expiry;
  byId("next-expiry").disabled = !next;
  fill(byId("next-expiry"), [
    "To the next expiry",
    h("small", {}, next ? ` (${next.token} at ${brief(next.at)})` : " (no token expires)"),
  ]);
  tick();
}

/** Show the time as it passes. */
function tick() {
  const now = serverNow();
  if (now === null || document.hidden) return;
  const shown = dateAndTime(now);
  const element = byId("now");
  if (element.textContent === shown) return;
  element.textContent = shown;
  element.dateTime = new Date(now).toISOString();
  for (const until of document.querySelectorAll("main section:not([hidden]) [data-until]")) {
    until.textContent = untilText(/** @type {HTMLElement} */ (until).dataset.until ?? "");
  }
  const next = state.clock?.next_expiry;
  if (next && !state.clock?.frozen && Date.parse(next.at) <= now) refresh();
}

function renderErrors() {
  const shown = [...state.errors].map(([place, text]) =>
    h(
      "div",
      { class: "error", "data-key": place },
      h("p", {}, text),
      button("dismiss", { "data-place": place, "aria-label": "Dismiss this error" }, "Dismiss"),
    ),
  );
  fill(byId("errors"), shown);
}

// Exchanges

/**
 * Return the outcome of an exchange: its shape, and its words.
 *
 * @param {{status: number | null, error?: string | null, cause?: string | null,
 *   answered?: boolean}} exchange
 * @returns {[string, string]}
 */
function outcomeOf({ status, error, cause, answered = true }) {
  if (!answered) return ["waiting", "waiting"];
  if (status === null) return ["lost", "no response"];
  // A status below 400 does not say by itself that it is an error: a redirect can send one.
  const word = error ?? (status < 400 ? cause : null);
  const words = word ? `${status} ${word}` : String(status);
  if (status >= 500) return ["failed", words];
  if (status >= 400 || word) return ["refused", words];
  return [status >= 300 ? "redirect" : "ok", words];
}

/** @param {Exchange} exchange */
function isError(exchange) {
  return ["refused", "failed", "lost"].includes(outcomeOf(exchange)[0]);
}

/**
 * Return the values of a filter's fields.
 *
 * @param {string} name
 * @returns {Record<string, string>}
 */
function filterOf(name) {
  const form = /** @type {HTMLFormElement} */ (document.querySelector(`[data-filter=${name}]`));
  return /** @type {any} */ (Object.fromEntries(new FormData(form)));
}

/**
 * Return whether every word of a filter is in a text.
 *
 * @param {string} filter
 * @param {string} text
 */
function hasWords(filter, text) {
  const lower = text.toLowerCase();
  return filter
    .toLowerCase()
    .split(/\s+/)
    .every((word) => lower.includes(word));
}

/** Return the exchanges that match the filter, the latest first. */
function matchingExchanges() {
  const { text, client, outcome, quiet } = filterOf("exchanges");
  return state.exchanges
    .filter(({ number }) => state.pausedAt === null || number <= state.pausedAt)
    .filter((exchange) => !quiet || !isQuiet(exchange))
    .filter((exchange) => !client || exchange.client_id === client)
    .filter((exchange) => outcome !== "errors" || isError(exchange))
    .filter((exchange) => outcome !== "faults" || exchange.fault)
    .filter((exchange) => !text || hasWords(text, searchable(exchange)))
    .reverse();
}

/** Return whether an exchange only prepares others. @param {Exchange} exchange */
function isQuiet({ method, endpoint }) {
  return method === "OPTIONS" || METADATA.includes(endpoint ?? "");
}

/** @param {Exchange} exchange */
function searchable(exchange) {
  const { line, endpoint, cause, tokens, issued } = exchange;
  return [line, endpoint, cause, ...Object.values(tokens), ...issued].join(" ");
}

function renderExchanges() {
  const matching = matchingExchanges();
  const shown = matching.slice(0, state.rows);
  const heading = /** @type {Node} */ (byId("exchange-table").querySelector("thead"));
  fill(byId("exchange-table"), [heading, ...exchangeRows.of(shown)]);
  byId("exchange-table").hidden = !shown.length;
  fill(byId("exchanges-rest"), restOfExchanges(matching.length - shown.length));
  fill(byId("exchanges-summary"), [summaryOfExchanges(matching.length)]);
  byId("pause").setAttribute("aria-pressed", String(state.pausedAt !== null));
  renderClientOptions();
}

/** @param {number} rest */
function restOfExchanges(rest) {
  if (!state.exchanges.length && state.server) {
    const issuer = state.server.issuer;
    return [empty("No request has arrived yet. Point a client at ", code(issuer), ".")];
  }
  if (!byId("exchange-table").hidden && rest <= 0) return [];
  if (rest > 0) return [button("show-more", { class: "more" }, `Show more (${rest} earlier)`)];
  return [empty("No exchange matches the filter.")];
}

/** @param {number} matching */
function summaryOfExchanges(matching) {
  const all = state.exchanges.length;
  const parts = [matching < all ? `${matching} of ${all} exchanges` : plural(all, "exchange")];
  if (state.pausedAt !== null) {
    const later = state.exchanges.filter(({ number }) => number > Number(state.pausedAt)).length;
    parts.push(later ? `paused, ${later} arrived since` : "paused");
  }
  if (state.forgotten) parts.push(`${state.forgotten} earlier no longer kept`);
  return parts.join(" · ");
}

/** @param {number} count @param {string} noun @param {string} [several] */
function plural(count, noun, several = `${noun}s`) {
  return `${count} ${count === 1 ? noun : several}`;
}

function renderClientOptions() {
  const select = /** @type {HTMLSelectElement} */ (
    document.querySelector("[data-filter=exchanges] select")
  );
  const known = new Set(state.exchanges.map(({ client_id }) => client_id ?? ""));
  if (select.value) known.add(select.value);
  const options = [...known].filter(Boolean).sort();
  fill(select, [
    h("option", { value: "", "data-key": "" }, "All clients"),
    ...options.map((client) => h("option", { value: client, "data-key": `=${client}` }, client)),
  ]);
}

/** @type {Elements<Exchange>} */
const exchangeRows = new Elements(
  ({ number }) => String(number),
  (exchange) => {
    const open = state.open.get(exchange.number);
    return `${versionOf(exchange)} ${open ? open.version : "closed"}`;
  },
  (exchange) => {
    const open = state.open.get(exchange.number);
    return h(
      "tbody",
      { role: "rowgroup", class: `exchange ${outcomeOf(exchange)[0]}` },
      exchangeRow(exchange, Boolean(open)),
      open && exchangeDetail(exchange, open.exchange),
    );
  },
);

/** @param {Exchange} exchange @param {boolean} isOpen */
function exchangeRow(exchange, isOpen) {
  const { number, at, method, path, client_id, grant_type, reason, fault } = exchange;
  const [name, words] = outcomeOf(exchange);
  const disclose = button(
    "toggle",
    {
      class: "disclose",
      "data-number": number,
      "aria-expanded": isOpen,
      "aria-controls": isOpen ? `exchange-${number}` : null,
      "aria-label": `Exchange ${number}`,
    },
    String(number),
  );
  const cell = (/** @type {string} */ kind, /** @type {Child[]} */ ...words) =>
    h("td", { role: "cell", class: kind }, ...words);
  return h(
    "tr",
    { role: "row", class: isOpen && "open" },
    h("th", { role: "rowheader", scope: "row", class: "number" }, disclose),
    cell("time", h("time", { datetime: at, title: dateAndTime(at) }, timeOfDay(at))),
    cell("request", h("span", { class: "method" }, method), " ", path),
    cell("client", client_id),
    cell("grant", shortGrantType(grant_type)),
    cell("outcome", badge(name, words)),
    cell("reason", fault && shortFault(fault), fault && " ", reason),
    cell("names", tokenNames(exchange)),
  );
}

/**
 * Return a grant type without the prefix that all of the extensions have.
 *
 * @param {string | null} grantType
 */
function shortGrantType(grantType) {
  return grantType?.replace("urn:ietf:params:oauth:grant-type:", "…") ?? null;
}

/** Return the step that an exchange used, without its arguments. @param {string} fault */
function shortFault(fault) {
  return h("span", { class: "fault", title: fault }, fault.replace(/\(.*/s, ""));
}

/** Return the names of the presented and the issued tokens. @param {Exchange} exchange */
function tokenNames({ tokens, issued }) {
  const presented = together(Object.values(tokens));
  const names = together(issued);
  const family = familyOf(presented);
  const shown = family && names.startsWith(`${family} `) ? names.slice(family.length + 1) : names;
  return shown ? `${presented} → ${shown}`.trimStart() : presented;
}

/** Return names in one text, each family once: `alice/1 r2 a3`. @param {string[]} names */
function together(names) {
  /** @type {Map<string, string[]>} */
  const families = new Map();
  for (const name of names) {
    const family = familyOf(name);
    families.set(family, [...(families.get(family) ?? []), name.slice(family.length)]);
  }
  return [...families].map(([family, rest]) => family + rest.join("")).join(", ");
}

/** @param {string} name */
function familyOf(name) {
  return name.slice(0, name.lastIndexOf(" "));
}

/** @param {Exchange} exchange @param {WholeExchange | null} whole */
function exchangeDetail(exchange, whole) {
  const id = `exchange-${exchange.number}`;
  const content = whole ? wholeExchange(whole) : [empty("Loading…")];
  const cell = h("td", { role: "cell", colspan: 8 }, h("div", { class: "detail" }, content));
  return h("tr", { role: "row", class: "more-of", id }, cell);
}

/** @param {WholeExchange} exchange */
function wholeExchange(exchange) {
  return [why(exchange), repeat(exchange), request(exchange), response(exchange)];
}

/** @param {WholeExchange} exchange */
function why({ reason, cause, fault, tokens, issued }) {
  const names = [...new Set([...Object.values(tokens), ...issued])];
  return h(
    "dl",
    { class: "why" },
    pair("Reason", h("span", {}, withLinks(reason ?? "not answered yet"))),
    cause && pair("Cause", code(cause)),
    fault && pair("Fault", h("a", { href: "#faults", class: "fault" }, fault)),
    names.length > 0 &&
      pair(
        "Tokens",
        h(
          "span",
          { class: "chips" },
          names.map((name) => link("tokens", name, name)),
        ),
      ),
  );
}

/** @param {string} name @param {Child} value */
function pair(name, value) {
  return h("div", {}, h("dt", {}, name), h("dd", {}, value));
}

/** @param {WholeExchange} exchange */
function request({ method, path, query, form, content_type, headers, tokens }) {
  const sent = { ...(content_type ? { "Content-Type": content_type } : {}), ...headers };
  const isUsual = (/** @type {[string, string]} */ [name]) => USUAL_HEADERS.test(name);
  const usual = Object.entries(sent).filter(isUsual);
  const others = Object.entries(sent).filter((header) => !isUsual(header));
  return h(
    "section",
    { class: "half", "aria-label": "Request" },
    h("h3", {}, "Request"),
    h("p", { class: "start-line" }, `${method} ${path}`),
    pairs("Query", query, tokens),
    pairs("Form", form, tokens),
    pairs("Headers", Object.fromEntries(others)),
    usual.length > 0 &&
      h(
        "details",
        { class: "usual" },
        h("summary", {}, plural(usual.length, others.length ? "more header" : "header")),
        pairList(Object.fromEntries(usual)),
      ),
  );
}

/** @param {WholeExchange} exchange */
function response(exchange) {
  const { reply, response_headers, status } = exchange;
  return h(
    "section",
    { class: "half", "aria-label": "Response" },
    h("h3", {}, "Response"),
    h("p", { class: "start-line" }, badge(...outcomeOf(exchange))),
    reply !== null && h("h4", {}, "Body"),
    reply !== null && wire(JSON.stringify(reply, null, 2), { "aria-label": "Body" }),
    reply === null && status !== null && empty("The body is empty, or it is not JSON."),
    pairs("Headers", response_headers),
  );
}

/**
 * Return a list of names and values under a heading, if there are some.
 *
 * @param {string} title
 * @param {Record<string, string>} values
 * @param {Record<string, string>} tokens
 */
function pairs(title, values, tokens = {}) {
  if (!Object.keys(values).length) return null;
  return h("div", {}, h("h4", {}, title), pairList(values, tokens));
}

/** @param {Record<string, string>} values @param {Record<string, string>} tokens */
function pairList(values, tokens = {}) {
  const items = Object.entries(values).map(([name, value]) => {
    const token = tokens[name] && link("tokens", tokens[name], tokens[name]);
    return h("div", {}, h("dt", {}, name), h("dd", {}, token, token && " ", value));
  });
  return h("dl", { class: "pairs" }, items);
}

/** @param {WholeExchange} exchange */
function repeat({ number, curl, pytest }) {
  const texts = [
    ["curl", "Copy as curl", curl],
    ["pytest", "Copy as a pytest test", pytest],
  ];
  return h(
    "section",
    { class: "repeat", "aria-label": "Repeat the request" },
    texts.map(([name, words, text]) => {
      const id = `${name}-${number}`;
      return h(
        "div",
        {},
        button("copy", { "data-from": id }, words),
        h("details", {}, h("summary", {}, "Show"), wire(text, { id, "aria-label": words })),
      );
    }),
  );
}

// Tokens

/** @type {Record<string, string>} */
const KINDS = {
  refresh_token: "refresh token",
  access_token: "access token",
  code: "code",
  device_code: "device code",
};

function renderTokens() {
  const { text, state: wanted } = filterOf("tokens");
  const shown = state.families
    .filter((family) => wanted === "all" || (family.state === "active") === (wanted === "active"))
    .filter((family) => !text || hasWords(text, JSON.stringify(family)));
  fill(byId("families"), shown.length ? familyCards.of(shown) : [noFamily()]);
  const all = state.families.length;
  const families = plural(all, "family", "families");
  const count = shown.length < all ? `${shown.length} of ${families}` : families;
  const earlier = state.earlier ? ` · ${state.earlier} earlier not shown` : "";
  fill(byId("tokens-summary"), [`${count}, the latest first${earlier}`]);
}

function noFamily() {
  if (state.families.length) return empty("No family matches the filter.");
  return empty("No token has been issued yet. Each login has a tree of its tokens here.");
}

/** @type {Elements<Family>} */
const familyCards = new Elements(
  ({ name }) => name,
  (family) => `${JSON.stringify(family)} ${today()}`,
  familyCard,
);

/** @param {Family} family */
function familyCard(family) {
  const { name, client_id, scopes, state: standing, why, earlier } = family;
  return h(
    "article",
    {
      class: `card family ${standing}`,
      id: idOf("family", name),
      tabindex: -1,
      "aria-labelledby": idOf("title", name),
    },
    h(
      "div",
      { class: "title" },
      h("h3", { id: idOf("title", name) }, name),
      badge(standing),
      h(
        "span",
        { class: "facts" },
        h("span", {}, client_id),
        scopes.map((s) => h("span", {}, s)),
      ),
      standing === "active" &&
        button("revoke-family", { "data-family": name, class: "danger" }, "Revoke family"),
    ),
    why && h("p", { class: "description" }, withLinks(why)),
    earlier > 0 && h("p", { class: "description" }, plural(earlier, "earlier token"), " not shown"),
    tree(family),
  );
}

/**
 * Return an id for a name, which can have any character.
 *
 * @param {string} kind
 * @param {string} name
 */
function idOf(kind, name) {
  return `${kind}-${encodeURIComponent(name)}`;
}

/** Return the tokens of a family as a tree. @param {Family} family */
function tree(family) {
  const { trunk, branches } = treeOf(family.tokens);
  const login = family.user === null ? `${family.client_id} itself` : `login of ${family.user}`;
  const root = h(
    "div",
    { class: "token root" },
    shape("root"),
    h("span", { class: "login" }, login),
  );
  return h(
    "ul",
    { class: "tree", "aria-label": `Tokens of ${family.name}` },
    h("li", { "data-key": "" }, root, branchList(family, branches)),
    trunk.map((node) => nodeItem(family, node)),
  );
}

/**
 * Return the tokens as a trunk and its branches: the tokens that a login passes from one request to
 * the next, and those that such a token led to.
 *
 * @param {Token[]} tokens @returns {{trunk: TreeNode[], branches: TreeNode[][]}}
 */
function treeOf(tokens) {
  const names = new Set(tokens.map(({ name }) => name));
  /** @type {Map<string | null, Token[]>} */
  const from = new Map();
  for (const token of tokens) {
    const origin = token.from !== null && names.has(token.from) ? token.from : null;
    from.set(origin, [...(from.get(origin) ?? []), token]);
  }
  const isBranch = (/** @type {Token} */ token) => token.kind === "access_token";
  /** @param {Token} first @returns {TreeNode[]} */
  const lane = (first) => {
    const nodes = [];
    /** @type {Token | undefined} */
    let token = first;
    while (token) {
      const led = /** @type {Token[]} */ (from.get(token.name) ?? []);
      /** @type {Token | undefined} */
      const next = led.find((child) => !isBranch(child));
      const branches = led.filter((child) => child !== next);
      nodes.push({ token, branches: branches.map(lane) });
      token = next;
    }
    return nodes;
  };
  const roots = from.get(null) ?? [];
  return {
    trunk: roots.filter((token) => !isBranch(token)).flatMap(lane),
    branches: roots.filter(isBranch).map(lane),
  };
}

/** @param {Family} family @param {TreeNode[][]} branches */
function branchList(family, branches) {
  if (!branches.length) return null;
  return h(
    "ul",
    {},
    branches.map((lane) => {
      if (lane.length === 1) return nodeItem(family, lane[0]);
      const [{ token }] = lane;
      const trunk = h(
        "ul",
        { class: "tree" },
        lane.map((node) => nodeItem(family, node)),
      );
      return h("li", { class: "fork", "data-key": `fork ${token.name}` }, trunk);
    }),
  );
}

/** @param {Family} family @param {TreeNode} node @returns {HTMLElement} */
function nodeItem(family, { token, branches }) {
  const classes = `${token.state} ${token.kind}`;
  const content = [tokenRow(family, token), branchList(family, branches)];
  return h("li", { class: classes, "data-key": token.name }, content);
}

/** @param {Family} family @param {Token} token */
function tokenRow(family, token) {
  const { name, kind, state: standing, presented, presented_before, issued_by } = token;
  return h(
    "div",
    { class: "token", id: idOf("token", name), tabindex: -1 },
    shape(standing),
    h(
      "span",
      { class: "name" },
      h("strong", {}, name.slice(family.name.length + 1)),
      ` ${KINDS[kind] ?? kind}`,
    ),
    h("span", { class: `standing ${standing}` }, standing),
    h("span", { class: "life" }, lifeOf(token)),
    h(
      "span",
      { class: "chips" },
      issued_by !== null && chip(issued_by, "issued", "issued by"),
      presented_before > 0 && h("span", {}, `${presented_before} earlier`),
      presented.map((one) => presentation(family, one)),
    ),
    standing === "active" && tokenButtons(token),
  );
}

/** @param {Token} token */
function tokenButtons({ name, expires_at }) {
  const label = `Go to this expiry: ${name}`;
  return h(
    "span",
    { class: "buttons" },
    expires_at !== null &&
      expires_at !== LAST_MOMENT &&
      button("go-to-expiry", { "data-at": expires_at, "aria-label": label }, "Go to this expiry"),
    button("expire", { "data-token": name, "aria-label": `Expire ${name}` }, "Expire"),
  );
}

/** Return what is to say of a token's lifetime. @param {Token} token @returns {Child[]} */
function lifeOf({ state: standing, why: reason, expires_at }) {
  if (standing === "spent" || standing === "revoked")
    return [h("span", {}, withLinks(reason ?? standing))];
  if (expires_at === null) return ["never expires"];
  const until = h("span", { "data-until": expires_at }, untilText(expires_at));
  return [until, h("time", { datetime: expires_at }, brief(expires_at))];
}

/** @param {number} number @param {string} kind @param {...Child} words */
function chip(number, kind, ...words) {
  const shown =
    kind === "issued" ? [...words, ` #${number}`] : [shape(kind), `#${number} `, ...words];
  return h("a", { href: `#exchanges/${number}`, class: `chip ${kind}` }, shown);
}

/** @param {Family} family @param {Presentation} presentation */
function presentation(family, { number, client_id, status, error }) {
  const [kind, words] = outcomeOf({ status, error });
  const other = client_id !== null && client_id !== family.client_id ? `${client_id} ` : "";
  return chip(number, kind, other, words);
}

// Faults

/** @type {[string, string][]} */
const STAGES = [
  ["request", "Before the endpoint"],
  ["token", "In the tokens"],
  ["response", "In the response"],
  ["connection", "On the connection"],
];

function renderFaults() {
  renderFaultForm();
  renderSteps();
}

function renderFaultForm() {
  for (const control of byId("fault-form").querySelectorAll("button"))
    control.disabled = !state.kinds;
  if (!state.kinds) return;
  const select = byId("fault-kind");
  const { Conditions: conditions, ...kinds } = state.kinds;
  if (!select.options.length) {
    fill(select, faultOptions(kinds));
    if ("Status" in kinds) select.value = "Status"; // The fault that most people look for.
  }
  const kind = kinds[select.value];
  fill(byId("fault-description"), [plainText(kind.description ?? "")]);
  fill(byId("fault-fields"), fieldsOf(kind, select.value));
  fill(byId("fault-status"), [state.added?.text]);
  const legend = /** @type {Node} */ (byId("condition-fields").querySelector("legend"));
  fill(byId("condition-fields"), [legend, ...fieldsOf(conditions, "condition")]);
  suggest(
    "client_id",
    state.clients.map(({ client_id }) => client_id),
  );
  suggest(
    "grant_type",
    state.exchanges.map(({ grant_type }) => grant_type),
  );
  const known = new Set(
    [...byId("fault-form").querySelectorAll("[data-field]")].map((f) => f.name),
  );
  const others = [...state.problems].filter(([name]) => !known.has(name));
  fill(
    byId("fault-problems"),
    others.map(([, text]) => h("p", { class: "problem" }, text)),
  );
}

/** @param {Record<string, Schema>} kinds */
function faultOptions(kinds) {
  return STAGES.map(([stage, label]) => {
    const names = Object.keys(kinds).filter((name) => kinds[name]["x-stage"] === stage);
    return h(
      "optgroup",
      { label },
      names.map((name) => h("option", { value: name }, name)),
    );
  });
}

/** Return the fields of a definition. @param {Schema} schema @param {string} prefix */
function fieldsOf(schema, prefix) {
  return Object.entries(schema.properties ?? {})
    .filter(([name]) => name !== "fault")
    .map(([name, property]) => field(prefix, name, property, schema.required?.includes(name)));
}

/**
 * Return a label, a control, its description, and its problem.
 *
 * @param {string} prefix
 * @param {string} name
 * @param {Schema} schema
 * @param {boolean} [isRequired]
 */
function field(prefix, name, schema, isRequired = false) {
  const id = `${prefix}-${name}`;
  const problem = state.problems.get(name);
  const describedBy = [schema.description && `${id}-about`, problem && `${id}-problem`];
  const attributes = {
    id,
    name,
    "data-field": true,
    "aria-describedby": describedBy.filter(Boolean).join(" ") || null,
    "aria-invalid": problem ? "true" : null,
    "aria-required": isRequired ? "true" : null,
  };
  return h(
    "div",
    { class: "field", "data-key": id },
    h("label", { for: id }, name, isRequired && h("span", { class: "required" }, " required")),
    control(schema, attributes),
    problem && h("p", { class: "problem", id: `${id}-problem` }, problem),
    schema.description &&
      h("p", { class: "about", id: `${id}-about` }, plainText(schema.description)),
  );
}

/**
 * Return the element in which a value is written.
 *
 * @param {Schema} schema
 * @param {Data} attributes
 */
function control(schema, attributes) {
  const choices = schema.enum ?? (typesOf(schema).has("boolean") ? [true, false] : null);
  const shown = schema.default == null ? "" : written(schema.default);
  if (choices) {
    const option = (/** @type {unknown} */ value) => h("option", {}, written(value));
    const none = h("option", { value: "" }, shown ? `${shown} (default)` : "–");
    const others = choices.filter((value) => written(value) !== shown);
    return h("select", attributes, none, others.map(option));
  }
  const common = { ...attributes, placeholder: shown, autocomplete: "off", spellcheck: "false" };
  if (isStructured(schema)) {
    return h("textarea", { ...common, rows: 1, placeholder: shown || hintOf(schema) });
  }
  return h("input", { ...common, list: listFor(attributes.name) });
}

/** Return the id of the list of values that a field suggests. @param {string} name */
function listFor(name) {
  return byId(`known-${name}`) ? `known-${name}` : null;
}

/** @param {string} name @param {(string | null)[]} values */
function suggest(name, values) {
  const known = [...new Set(values.filter(Boolean))].sort();
  fill(
    byId(`known-${name}`),
    known.map((value) => h("option", { value, "data-key": value })),
  );
}

/** Return the JSON types that a value can have. @param {Schema} schema @returns {Set<string>} */
function typesOf(schema) {
  const own = [schema.type ?? []].flat();
  const choices = [...(schema.enum ?? []), ...("const" in schema ? [schema.const] : [])];
  const inner = (schema.anyOf ?? []).flatMap((one) => [...typesOf(one)]);
  return new Set([...own, ...inner, ...choices.map((value) => typeof value)]);
}

/**
 * Return whether a value can be more than a word: an object, a list, or anything.
 *
 * @param {Schema} schema
 */
function isStructured(schema) {
  const types = typesOf(schema);
  return !types.size || types.has("object") || types.has("array");
}

/** @param {Schema} schema */
function hintOf(schema) {
  return typesOf(schema).has("array") ? '[{"fault": "…"}]' : '{"name": "value"}';
}

/** @param {unknown} value */
function written(value) {
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** Return the first paragraph of a docstring without its markup. @param {string} text */
function plainText(text) {
  return text.split("\n\n", 1)[0].replaceAll("`", "");
}

/**
 * Return a text as a value that the schema allows; the text itself if it allows none.
 *
 * @param {string} text
 * @param {Schema} schema
 */
function valueOf(text, schema) {
  const types = typesOf(schema);
  const value = jsonOrUndefined(text);
  const type = Array.isArray(value) ? "array" : typeof value;
  const isAllowed = types.has(type) || (type === "number" && types.has("integer"));
  return value !== undefined && (!types.size || isAllowed) ? value : text;
}

/** Return the rule that the form describes. @param {boolean} isStanding */
function ruleInForm(isStanding) {
  const kinds = /** @type {Record<string, Schema>} */ (state.kinds);
  const fault = byId("fault-kind").value;
  const schemas = { ...kinds.Conditions.properties, ...kinds[fault].properties };
  /** @type {Data} */
  const rule = { fault };
  for (const { name, value } of byId("fault-form").querySelectorAll("[data-field]")) {
    if (value !== "") rule[name] = valueOf(value, schemas[name]);
  }
  return isStanding ? { ...rule, times: "always" } : rule;
}

/** Return the problems of a refusal by the field that they are for. @param {APIError} error */
function problemsByField(error) {
  return new Map(
    error.problems.map(({ path, message }) => {
      const name = /^\$\.faults\[\d+\]\.(\w+)/.exec(path)?.[1] ?? path;
      return [name, message];
    }),
  );
}

/** Return whether a step can be used again. @param {Step} step */
function isLeft({ times, left }) {
  return times === "always" || left > 0;
}

function renderSteps() {
  const items = state.steps.map((step) => stepItem(step));
  const none = empty("The script is empty: every request is served normally.");
  fill(byId("steps"), [items.length ? h("ol", { class: "steps" }, items) : none]);
  byId("clear-script").disabled = !items.length;
}

/** @param {Step} step */
function stepItem(step) {
  const isStanding = step.times === "always";
  const isUsable = isLeft(step);
  const users = state.exchanges.filter(({ fault }) => fault === step.step);
  const { step: name, fault, used, left, ...others } = step;
  const conditions = Object.keys(state.kinds?.Conditions.properties ?? {})
    .concat("when") // Only Python has it.
    .filter((condition) => condition in others && condition !== "times")
    .map((condition) => `${condition} ${written(others[condition])}`);
  const standing = isStanding ? "always" : isUsable ? `${left} of ${left + used} left` : "used up";
  return h(
    "li",
    { "data-key": name, class: isUsable ? "left" : "over" },
    h("div", { class: "title" }, badge(isUsable ? "active" : "spent", standing), code(name)),
    conditions.length > 0 && h("p", { class: "about" }, conditions.join(" · ")),
    h("p", { class: "chips" }, users.map(usedBy), !users.length && "no request has used it"),
    isUsable && button("remove-step", { "data-step": name }, isStanding ? "Lift" : "Remove"),
  );
}

/** @param {Exchange} exchange */
function usedBy(exchange) {
  const [kind, words] = outcomeOf(exchange);
  return chip(exchange.number, kind, words);
}

// Clients, users, keys, outbox, violations, settings

const URI_HEADINGS = ["Redirect URIs", "Logout redirect URIs"];

function renderClients() {
  const registered = state.registered.map((client) => clientRow(client, true));
  const configured = state.clients.map((client) => clientRow(client, false));
  const headings = ["Client", "Secret", "Grant types", "Scopes", ...URI_HEADINGS, ACTIONS_HEADING];
  fill(byId("client-list"), [
    configured.length
      ? table("clients", headings, configured)
      : empty("The settings have no client."),
    ...(registered.length
      ? [h("h3", {}, "Registered"), table("registered clients", headings, registered)]
      : []),
  ]);
}

/** @param {Data} client @param {boolean} isRegistered */
function clientRow(client, isRegistered) {
  const { client_id, name, enabled, grant_types, scopes } = client;
  return row(client_id, h("span", {}, code(client_id), name && h("small", {}, name)), [
    secretOf(client),
    grant_types ? words(grant_types.map(shortGrantType)) : "all",
    words(scopes ?? ["openid"]),
    words(client.redirect_uris ?? []),
    words(client.logout_redirect_uris ?? []),
    [
      enabled === false && badge("revoked", "disabled"),
      isRegistered && button("forget-client", { "data-client": client_id }, "Forget"),
    ],
  ]);
}

/** @param {string[]} values */
function words(values) {
  if (!values.length) return null;
  return h(
    "span",
    { class: "words" },
    values.map((value) => code(value)),
  );
}

/** @param {Data} client */
function secretOf({ client_id, client_secret, jwks }) {
  if (client_secret == null) return jwks ? "keys" : "public";
  const isShown = state.secrets.has(client_id);
  const label = `${isShown ? "Hide" : "Show"} the secret of ${client_id}`;
  const attributes = { "data-client": client_id, "aria-label": label };
  return h(
    "span",
    { class: "secret" },
    code(isShown ? client_secret : "••••••"),
    button("show-secret", attributes, isShown ? "Hide" : "Show"),
  );
}

function renderUsers() {
  const { text } = filterOf("users");
  const shown = state.users.filter((user) => !text || hasWords(text, JSON.stringify(user)));
  const headings = ["User", "sub", "Status", "Phone and email", "Login", ACTIONS_HEADING];
  const none = empty(state.users.length ? "No user matches the filter." : "There is no user.");
  const rows = shown.map(userRow);
  fill(byId("user-list"), [rows.length ? table("users", headings, rows) : none]);
}

/** @param {Data} user @returns {string} */
function nameOf({ username, sub }) {
  return username ?? sub;
}

/** @param {Data} user */
function userRow(user) {
  const name = nameOf(user);
  const standing = user.status ?? "active";
  const isActive = standing === "active";
  const act = (
    /** @type {string} */ action,
    /** @type {string} */ word,
    /** @type {string} */ what,
  ) => button(action, { "data-user": user.sub, "aria-label": `${what} ${name}` }, word);
  return row(user.sub, h("strong", {}, name), [
    code(user.sub),
    badge(isActive ? "active" : "revoked", standing),
    [user.phone, user.email].filter(Boolean).join(" · "),
    state.login === name
      ? [badge("active", "in every browser"), " ", button("log-out", {}, "Log out")]
      : isActive && act("log-in", "Log in everywhere", "Log in everywhere as"),
    h(
      "span",
      { class: "buttons" },
      isActive
        ? act("freeze-user", "Freeze", "Freeze")
        : act("unfreeze-user", "Unfreeze", "Unfreeze"),
      act("revoke-user", "Revoke tokens", "Revoke all tokens of"),
    ),
  ]);
}

function renderKeys() {
  const rows = state.keys.map(({ kid, alg, kty, use }) =>
    row(kid, code(kid), [
      alg,
      kty,
      badge(use === "signing" ? "active" : "spent", USES[use] ?? use),
    ]),
  );
  fill(byId("key-list"), [table("keys", ["kid", "Algorithm", "Type", "Use"], rows)]);
}

/** @type {Record<string, string>} */
const USES = { signing: "signs", next: "signs next", old: "old, still in the JWK Set" };

function renderOutbox() {
  const rows = state.messages.toReversed().map((message) => {
    const { recipient, otp, usage, auth_source_id, at } = message;
    const moment = typeof at === "number" ? at * 1000 : at;
    const copy = button("copy", { "data-text": otp, "aria-label": `Copy ${otp}` }, "Copy");
    return row(`${message.otp_token}`, h("span", { class: "otp" }, code(otp), copy), [
      recipient,
      usage,
      code(auth_source_id),
      dateAndTime(moment),
    ]);
  });
  const headings = ["Code", "To", "For", "Auth source", "Sent"];
  const none = empty("No one-time password was sent yet.");
  fill(byId("message-list"), [rows.length ? table("messages", headings, rows) : none]);
}

function renderViolations() {
  const items = state.violations.map(({ check, number, text }) =>
    h(
      "li",
      { "data-key": `${check} ${number}` },
      badge("refused", check.replaceAll("_", " ")),
      h("p", {}, link("exchanges", number, `Request ${number}`), " ", withLinks(text)),
    ),
  );
  const none = empty("No client broke a rule so far, as far as the journal shows.");
  fill(byId("violation-list"), [items.length ? h("ul", { class: "violations" }, items) : none]);
}

function renderSettings() {
  fill(byId("settings-toml"), [state.toml]);
}

/** @type {Record<string, {load: () => Promise<void>, render: () => void}>} */
const SECTIONS = {
  exchanges: { load: loadExchanges, render: renderExchanges },
  tokens: { load: loadFamilies, render: renderTokens },
  faults: { load: loadFaults, render: renderFaults },
  clients: { load: loadClients, render: renderClients },
  users: { load: loadUsers, render: renderUsers },
  keys: { load: loadKeys, render: renderKeys },
  outbox: { load: loadOutbox, render: renderOutbox },
  violations: { load: loadViolations, render: renderViolations },
  settings: { load: loadSettings, render: renderSettings },
};

// Places: #exchanges, #exchanges/12, #tokens/alice%2F1%20r2

/** The place that a link led to, until it is on the page. @type {string | null} */
let target = null;

/** @returns {{section: string, argument: string}} */
function route() {
  const [section, argument = ""] = location.hash.slice(1).split("/", 2);
  return Object.hasOwn(SECTIONS, section)
    ? { section, argument: decodeOr(argument) }
    : { section: "exchanges", argument: "" };
}

/** @param {string} text */
function decodeOr(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function arrive() {
  const { section, argument } = route();
  target = argument || null;
  if (section === "exchanges" && argument) openTarget(Number(argument));
  else if (!argument) scrollTo(0, 0);
  document
    .querySelector(`nav [href="#${section}"]`)
    ?.scrollIntoView({ block: "nearest", inline: "nearest" });
  set({ problems: new Map(), added: null });
  refresh();
}

/** Make the place of the page another one, without an entry in the history. @param {string} place */
function replacePlace(place) {
  history.replaceState(history.state, "", `#${place}`);
}

/** Take the exchange out of the place of the page: it is closed, or the server forgot it. */
function leaveExchange() {
  const { section, argument } = route();
  if (section === "exchanges" && argument) replacePlace(section);
}

/** @param {number} number */
function openTarget(number) {
  state.open.set(number, state.open.get(number) ?? { version: "", exchange: null });
}

/**
 * Show an exchange whatever the filter says, and as many rows as it needs to be among them.
 *
 * @param {number} number
 */
function reveal(number) {
  const exchange = state.exchanges.find((one) => one.number === number);
  if (!exchange) return;
  if (!matchingExchanges().includes(exchange)) {
    const form = /** @type {any} */ (document.querySelector("[data-filter=exchanges]"));
    const isHiding = form.elements.quiet.checked && !isQuiet(exchange);
    form.reset();
    form.elements.quiet.checked = isHiding;
    resume();
  }
  const rows = matchingExchanges().indexOf(exchange) + 1;
  if (rows > state.rows) set({ rows });
}

/** Move to the place that a link led to, once it is there. */
function goToTarget() {
  if (target === null) return;
  const { section } = route();
  const found =
    section === "exchanges"
      ? document.querySelector(`[data-number="${CSS.escape(target)}"]`)
      : (byId(idOf("token", target)) ?? byId(idOf("family", target)));
  if (!found && section === "exchanges") reveal(Number(target));
  if (!found) return;
  target = null;
  found.scrollIntoView({ block: "center" });
  found.focus({ preventScroll: true });
}

// Actions: what the buttons do

/** @param {number} seconds */
async function advance(seconds) {
  await api("POST", "clock", { advance_seconds: seconds });
}

/** @param {string} path @param {string} user @param {string} said */
async function forUser(path, user, said) {
  await api("POST", path, { user });
  say(said);
}

/** @param {string} name */
async function revokeFamily(name) {
  const tokens = state.families.find((family) => family.name === name)?.tokens ?? [];
  const refresh = tokens.find(({ kind }) => kind === "refresh_token");
  // Revoking a refresh token revokes its whole family.
  const revoked = refresh ? [refresh] : tokens.filter((token) => token.state === "active");
  for (const token of revoked) await api("POST", "revoke", { token: token.name });
  say(`${name} is revoked`);
}

/** Remove a step: the script without it replaces the script. @param {string} name */
async function removeStep(name) {
  const [{ steps }, { faults }] = await Promise.all([api("GET", "steps"), api("GET", "faults")]);
  const left = steps.filter(isLeft);
  const index = left.findIndex((/** @type {Step} */ step) => step.step === name);
  if (index < 0) return;
  await api("PUT", "faults", { faults: faults.toSpliced(index, 1) });
}

/** Copy a text, and show where it came from. @param {DOMStringMap} data */
async function copy({ from, text }) {
  const source = from === undefined ? null : byId(from);
  const details = source?.closest("details");
  if (details) details.open = true;
  const copied = text ?? source?.textContent ?? "";
  try {
    await navigator.clipboard.writeText(copied);
    say("Copied");
  } catch {
    // Only a secure context has a clipboard: https, or this machine.
    if (source) getSelection()?.selectAllChildren(source);
    say(source ? "Selected; press Ctrl+C to copy" : "This page cannot copy");
  }
}

function download() {
  const url = URL.createObjectURL(new Blob([state.toml], { type: "application/toml" }));
  h("a", { href: url, download: "fake_oauth.toml" }).click();
  URL.revokeObjectURL(url);
}

/** @param {number} number */
function toggle(number) {
  if (!state.open.has(number)) {
    openTarget(number);
    replacePlace(`exchanges/${number}`);
  } else {
    state.open.delete(number);
    if (route().argument === String(number)) leaveExchange();
  }
  set({});
  return loadOpenExchanges();
}

/**
 * What a button does, by its `data-action`.
 *
 * @type {Record<string, (data: DOMStringMap) => unknown>}
 */
const ACTIONS = {
  skip: () => byId("main").focus(),
  dismiss: ({ place }) => forget(place ?? ""),

  freeze: () => api("PUT", "clock", { frozen: !state.clock?.frozen }),
  advance: ({ seconds }) => advance(Number(seconds)),
  "next-expiry": () => api("PUT", "clock", { now: state.clock?.next_expiry?.at }),

  toggle: ({ number }) => toggle(Number(number)),
  pause: () => pause(),
  "show-more": () => set({ rows: state.rows + ROWS }),
  copy,

  "go-to-expiry": ({ at }) => api("PUT", "clock", { now: at }),
  expire: ({ token }) => api("POST", "expire", { token }),
  "revoke-family": ({ family }) => revokeFamily(family ?? ""),

  "remove-step": ({ step }) => removeStep(step ?? ""),
  "clear-script": () => api("PUT", "faults", { faults: [] }),

  "show-secret": ({ client }) => toggleSecret(client ?? ""),
  "forget-client": ({ client }) => api("POST", "forget_client", { client_id: client }),

  "log-in": ({ user }) => forUser("login", user ?? "", "Logged in in every browser"),
  "log-out": () => api("DELETE", "login"),
  "freeze-user": ({ user }) => forUser("freeze_user", user ?? "", "Frozen"),
  "unfreeze-user": ({ user }) => forUser("unfreeze_user", user ?? "", "Unfrozen"),
  "revoke-user": ({ user }) => forUser("revoke_user", user ?? "", "All tokens are revoked"),

  "rotate-keys": ({ keep }) => api("POST", "keys", { keep_old: keep === "true" }),
  download,
  "ask-reset": () => byId("reset").showModal(),
  keep: () => byId("reset").close(),
  reset: () => reset(),
};

/** The actions that change only the page. */
const LOCAL = new Set([
  "skip",
  "dismiss",
  "pause",
  "show-more",
  "show-secret",
  "copy",
  "download",
  "ask-reset",
  "keep",
  "toggle",
]);

function pause() {
  if (state.pausedAt === null) set({ pausedAt: state.exchanges.at(-1)?.number ?? 0 });
  else resume();
}

function resume() {
  set({ pausedAt: null });
}

/** @param {string} client */
function toggleSecret(client) {
  if (!state.secrets.delete(client)) state.secrets.add(client);
  set({});
}

async function reset() {
  byId("reset").close();
  await api("POST", "reset");
  set({ exchanges: [], open: new Map(), server: null });
  resume();
  say("The server is reset");
}

/** Write the time of the server where another one is entered, because most of it stays. */
function offerNow() {
  const now = serverNow();
  if (now === null || byId("set-clock").open) return;
  byId("set-now").value = `${new Date(now).toISOString().slice(0, 19)}Z`;
  showClockProblem(null);
}

/** @param {string | null} text */
function showClockProblem(text) {
  const problem = byId("set-now-problem");
  const input = byId("set-now");
  problem.hidden = text === null;
  problem.textContent = text;
  input.removeAttribute("aria-invalid");
  input.removeAttribute("aria-describedby");
  if (text === null) return;
  input.setAttribute("aria-invalid", "true");
  input.setAttribute("aria-describedby", problem.id);
  input.focus();
}

/** Set the clock to what was entered. */
async function setClock() {
  try {
    await api("PUT", "clock", { now: byId("set-now").value.trim() });
    showClockProblem(null);
    byId("set-clock").open = false;
  } catch (error) {
    if (!(error instanceof APIError)) throw error;
    showClockProblem(error.problems[0]?.message ?? error.message);
  }
}

/** Add the fault that was entered. @param {HTMLFormElement} form @param {string} how */
async function addFault(form, how) {
  set({ added: null });
  try {
    const { faults } = await api("POST", "faults", { faults: [ruleInForm(how === "always")] });
    const kind = byId("fault-kind").value;
    form.reset();
    byId("fault-kind").value = kind;
    const left = faults.length;
    const text = `${kind} is added; ${plural(left, "step")} left.`;
    set({ problems: new Map(), added: { text, left } });
  } catch (error) {
    if (!(error instanceof APIError) || !error.problems.length) throw error;
    set({ problems: problemsByField(error) });
    queueMicrotask(() => {
      /** @type {HTMLElement | null} */ (form.querySelector("[aria-invalid]"))?.focus();
    });
  }
}

/**
 * Run what a person asked for, show what went wrong, and read again.
 *
 * @param {() => unknown} work
 */
async function attempt(work) {
  try {
    await work();
    forget("action");
  } catch (error) {
    report("action", error);
  }
}

// Events

document.addEventListener("click", (event) => {
  const clicked = /** @type {Element} */ (event.target);
  const found = /** @type {HTMLElement | null} */ (clicked.closest("[data-action]"));
  if (found) {
    const { action = "" } = found.dataset;
    if (action === "skip") event.preventDefault();
    attempt(async () => {
      await ACTIONS[action](found.dataset);
      if (!LOCAL.has(action)) await refresh();
    });
    return;
  }
  // A link to the place where the page is already changes nothing by itself.
  if (clicked.closest("a")?.getAttribute("href") === location.hash) arrive();
  if (clicked.closest("#set-clock > summary")) offerNow();
  const exchange = clicked.closest(".exchange > tr:first-child");
  if (exchange && !clicked.closest("a") && getSelection()?.isCollapsed) {
    /** @type {HTMLElement} */ (exchange.querySelector(".disclose")).click();
  }
});

document.addEventListener("submit", (event) => {
  event.preventDefault();
  const form = /** @type {HTMLFormElement} */ (event.target);
  const how = /** @type {HTMLButtonElement | null} */ (event.submitter)?.value ?? "script";
  attempt(async () => {
    if (form.dataset.form === "set-clock") await setClock();
    if (form.dataset.form === "add-fault") await addFault(form, how);
    if (form.dataset.form) await refresh();
  });
});

document.addEventListener("input", (event) => {
  const input = /** @type {HTMLElement} */ (event.target);
  if (input.closest("[data-filter]")) set({ rows: ROWS });
  if (input.id === "fault-kind") set({ problems: new Map(), added: null });
});

document.addEventListener("keydown", (event) => {
  const menu = /** @type {HTMLDetailsElement} */ (byId("set-clock"));
  if (event.key !== "Escape" || !menu.open) return;
  menu.open = false;
  menu.querySelector("summary")?.focus();
});

document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    disconnect();
  } else {
    connect();
    refresh();
  }
});

addEventListener("hashchange", arrive);
setInterval(tick, 250);
arrive();
connect();
