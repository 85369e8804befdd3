// Keeps a list of recipients right while it is on a screen, whatever happens to the line. docs/realtime.md is its guide.
//
// A page is read by a query, which also returns the cursor to go on from; a subscription after that cursor brings every
// change since, once and in order. A row is replaced by a greater version only. After a lost connection the subscription
// goes on after the last cursor; where the server says RESYNC_REQUIRED, the page is read afresh.

/** What a row must have; whatever else is selected comes with it. */
export interface Row {
  id: string;
  version: number;
  enrolledAt: string;
}

/** `offline`: no connection. `catching-up`: connected, changes may be missing. `live`: everything is here. `ended`: for good. */
export type LiveState = "offline" | "catching-up" | "live" | "ended";

export interface Snapshot<R extends Row> {
  readonly rows: readonly R[];
  readonly state: LiveState;
  /** Whether the server has more rows after these; `loadMore` brings them. */
  readonly hasMore: boolean;
  /** Why it ended, in words for a person. */
  readonly problem?: string;
}

export interface LiveListOptions<R extends Row> {
  /** Where GraphQL is served: https://…/graphql */
  url: string;
  /** An API key or a token; a function is asked anew for each connection. */
  token: string | (() => string | Promise<string>);
  /** The fields of a Recipient to show, e.g. `status statusMessage contact { name }`; id, version and enrolledAt come by themselves. */
  fields: string;
  /** Only recipients of this sequence. */
  sequenceId?: string;
  /** Only these recipients: those that are visible; at most 200. */
  ids?: readonly string[];
  /** A RecipientFilter, and beside it the same as a function: it decides whether a changed row stays. */
  filter?: { where: Record<string, unknown>; matches: (row: R) => boolean };
  /** A RecipientOrder, and beside it the same as a function. Newest first when left out. */
  order?: { by: { field: string; direction: "ASC" | "DESC" }; compare: (a: R, b: R) => number };
  /** How many rows are read at once: 1 to 200; 50 when left out. */
  pageSize?: number;
  /** How long the server may be silent, in milliseconds; 30,000 when left out. */
  silence?: number;
  /** The longest pause between two attempts, in milliseconds; 30,000 when left out. */
  longestPause?: number;
  WebSocket?: typeof globalThis.WebSocket;
  fetch?: typeof globalThis.fetch;
}

interface Problem {
  message: string;
  extensions?: { code?: string; reason?: string };
}

interface Page<R> {
  nodes: R[];
  pageInfo: { hasNextPage: boolean; endCursor: string | null };
  eventsCursor: string;
}

interface Change<R> {
  cursor: string;
  recipientId: string;
  version: number;
  recipient: R | null;
}

class Ended extends Error {}

const FINAL = ["BAD_USER_INPUT", "GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED", "FORBIDDEN", "NOT_FOUND"];
const descending = (a: string, b: string) => (a < b ? 1 : a > b ? -1 : 0);
const newestFirst = (a: Row, b: Row) => descending(a.enrolledAt, b.enrolledAt) || descending(a.id, b.id);

export class LiveList<R extends Row> {
  private snapshot: Snapshot<R> = { rows: [], state: "offline", hasMore: false };
  private readonly listeners = new Set<() => void>();
  private known = new Map<string, { version: number; row: R | null }>(); // null: seen, and not in the list
  private last: R | null = null; // the last row read while there are more: what stands behind it is not ours yet
  private cursor: string | null = null; // of the events; null: the page has to be read
  private endCursor: string | null = null;
  private socket: WebSocket | null = null;
  private operation = 0;
  private failures = 0;
  private comeBack = 1000; // as the server asked for when it greeted us
  private timers: Record<string, ReturnType<typeof setTimeout>> = {};
  private generation = 0; // grows when all is begun anew: what an earlier one still waits for is dropped

  constructor(private readonly options: LiveListOptions<R>) {}

  /** The rows and the state now; the same object until something changes. */
  readonly getSnapshot = (): Snapshot<R> => this.snapshot;

  /** Call back after each change; returns how to stop that. With `getSnapshot`, as React's useSyncExternalStore asks. */
  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  };

  /** Begin, or begin anew after `stop` or an end. */
  start(): void {
    this.stop();
    this.failures = 0;
    void this.connect();
  }

  /** End the connection; the rows stay as they are. */
  stop(): void {
    this.drop();
    this.show({ state: "offline", problem: undefined });
  }

  /** Take a row that a mutation answered with, without waiting for its event. */
  apply(row: R): void {
    this.take(row.id, row.version, row);
    this.show({});
  }

  /** Read the next page behind the rows that are here. */
  async loadMore(): Promise<void> {
    const generation = this.generation;
    if (!this.snapshot.hasMore || this.cursor === null) return;
    const page = await this.read(this.endCursor);
    if (generation === this.generation && this.cursor !== null) {
      this.add(page);
      this.show({});
    }
  }

  private async connect(): Promise<void> {
    const generation = this.generation;
    const fresh = () => generation === this.generation;
    try {
      const { url, token } = this.options;
      const secret = typeof token === "string" ? token : await token();
      if (!fresh()) return;
      const socket = new (this.options.WebSocket ?? WebSocket)(url.replace(/^http/, "ws"), "graphql-transport-ws");
      this.socket = socket;
      this.heard();
      socket.onopen = () => this.say({ type: "connection_init", payload: { Authorization: `Bearer ${secret}` } });
      socket.onmessage = (message) => {
        if (!fresh()) return;
        this.heard();
        this.hear(JSON.parse(String(message.data))).catch((problem) => fresh() && this.lost(problem));
      };
      socket.onerror = () => undefined; // its end follows
      socket.onclose = (close) => {
        if (!fresh()) return;
        const refused = close.code === 4403 && typeof token === "string";
        const final = refused || close.code === 4400 || close.code === 4406;
        this.lost(final ? new Ended(close.reason || `closed with ${close.code}`) : close);
      };
    } catch (problem) {
      if (fresh()) this.lost(problem);
    }
  }

  private async hear(message: { type: string; id?: string; payload?: any }): Promise<void> {
    const ours = message.id === String(this.operation);
    if (message.type === "connection_ack") {
      this.comeBack = 1000 * (message.payload?.retryAfterSeconds ?? 1);
      this.timers.ping = setInterval(() => this.say({ type: "ping" }), (this.options.silence ?? 30_000) / 3);
      this.show({ state: "catching-up" });
      await this.follow();
    } else if (message.type === "ping") {
      this.say({ type: "pong" });
      const where = message.payload;
      if (where?.id === String(this.operation) && this.cursor !== null) {
        this.cursor = where.cursor;
        this.failures = 0;
        if (where.live) this.show({ state: "live" });
      }
    } else if (message.type === "next" && ours && this.cursor !== null) {
      if (message.payload.errors) return this.resync();
      const change: Change<R> = message.payload.data.recipientEvents;
      const { recipient } = change;
      this.take(change.recipientId, recipient?.version ?? Infinity, recipient);
      this.cursor = change.cursor;
      this.show({});
    } else if (message.type === "error" && ours) {
      const { code, reason } = (message.payload as Problem[])[0]?.extensions ?? {};
      if (code === "RESYNC_REQUIRED" || reason === "CURSOR_INVALID") return this.resync();
      throw problemOf(message.payload);
    } else if (message.type === "complete" && ours) {
      throw new Error("the server ended the subscription");
    }
  }

  private resync(): Promise<void> {
    this.cursor = null;
    this.show({ state: "catching-up" });
    return this.follow();
  }

  /** Read the page where there is none, then ask for every change after it, or after the last one that came. */
  private async follow(): Promise<void> {
    const generation = this.generation;
    this.operation += 1; // what comes of an earlier one is passed over
    if (this.cursor === null) {
      const wanted = this.snapshot.rows.length;
      const pages = [await this.read(null)];
      for (let count = pages[0].nodes.length, page = pages[0]; count < wanted && page.pageInfo.hasNextPage; ) {
        pages.push((page = await this.read(page.pageInfo.endCursor)));
        count += page.nodes.length;
      }
      if (generation !== this.generation) return;
      this.known = new Map();
      pages.forEach((page) => this.add(page));
      this.cursor = pages[0].eventsCursor; // of the first: what changed between the pages comes again
      this.show({});
    }
    const { sequenceId, ids } = this.options;
    const query = `subscription LiveList($after: String, $sequenceId: ID, $ids: [ID!]) {
      recipientEvents(after: $after, sequenceId: $sequenceId, recipientIds: $ids) {
        cursor recipientId version recipient { id version enrolledAt ${this.options.fields} } } }`;
    const variables = { after: this.cursor, sequenceId, ids };
    this.say({ id: String(this.operation), type: "subscribe", payload: { query, variables } });
  }

  private async read(after: string | null): Promise<Page<R>> {
    const { url, token, fields, sequenceId, ids, filter, order, pageSize } = this.options;
    const narrower = [filter?.where, sequenceId && { sequenceId }, ids && { ids }].filter(Boolean);
    const query = `query LiveList($first: Int, $after: String, $filter: RecipientFilter, $orderBy: RecipientOrder) {
      recipients(first: $first, after: $after, filter: $filter, orderBy: $orderBy) {
        nodes { id version enrolledAt ${fields} } pageInfo { hasNextPage endCursor } eventsCursor } }`;
    const variables = {
      first: pageSize ?? 50,
      after,
      filter: narrower.length ? { and: narrower } : null,
      orderBy: order?.by ?? null,
    };
    const answer = await (this.options.fetch ?? fetch)(url, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        authorization: `Bearer ${typeof token === "string" ? token : await token()}`,
      },
      body: JSON.stringify({ query, variables }),
      signal: AbortSignal.timeout(this.options.silence ?? 30_000),
    });
    const { data, errors } = await answer.json();
    if (errors || !data?.recipients) throw problemOf(errors);
    return data.recipients;
  }

  private add(page: Page<R>): void {
    page.nodes.forEach((row) => this.take(row.id, row.version, row, true));
    this.endCursor = page.pageInfo.endCursor;
    this.last = page.pageInfo.hasNextPage ? (page.nodes[page.nodes.length - 1] ?? this.last) : null;
  }

  /** Keep the greater version, whatever order they come in; a deleted recipient never comes back. */
  private take(id: string, version: number, row: R | null, listed = false): void {
    const before = this.known.get(id);
    if (before && before.version >= version) {
      // The same version of a row that stood behind the last page, which has come closer.
      if (!(listed && before.row === null && before.version === version)) return;
    }
    this.known.set(id, { version, row: row && (listed || this.belongs(row)) ? row : null });
  }

  private belongs(row: R): boolean {
    if (this.options.filter && !this.options.filter.matches(row)) return false;
    return this.last === null || this.compare(row, this.last) <= 0;
  }

  private compare(a: R, b: R): number {
    const { order } = this.options;
    return order ? order.compare(a, b) || descending(a.id, b.id) * (order.by.direction === "ASC" ? -1 : 1) : newestFirst(a, b);
  }

  private say(message: object): void {
    if (this.socket?.readyState === 1) this.socket.send(JSON.stringify(message));
  }

  /** A line that carries nothing for a while is taken for dead, whatever the network says of it. */
  private heard(): void {
    clearTimeout(this.timers.silence);
    this.timers.silence = setTimeout(() => this.lost(null), this.options.silence ?? 30_000);
  }

  private lost(problem: unknown): void {
    this.drop();
    if (problem instanceof Ended) return this.show({ state: "ended", problem: problem.message });
    const longest = this.options.longestPause ?? 30_000;
    // The first time when the server asked us to come, then later and later, and never all at the same moment.
    const pause = this.failures ? (0.5 + Math.random() / 2) * 500 * 2 ** this.failures : this.comeBack;
    this.failures = Math.min(this.failures + 1, 10);
    this.timers.again = setTimeout(() => void this.connect(), Math.min(pause, longest));
    this.show({ state: "offline" });
  }

  private drop(): void {
    this.generation += 1;
    for (const timer of Object.values(this.timers)) clearTimeout(timer);
    this.timers = {};
    const { socket } = this;
    this.socket = null;
    socket?.close(1000);
  }

  private show(change: Partial<Snapshot<R>>): void {
    const rows = [...this.known.values()].flatMap(({ row }) => (row ? [row] : []));
    rows.sort((a, b) => this.compare(a, b));
    this.snapshot = { ...this.snapshot, ...change, rows, hasMore: this.last !== null };
    this.listeners.forEach((listener) => listener());
  }
}

function problemOf(errors: Problem[] | undefined): Error {
  const message = errors?.[0]?.message ?? "there was no answer";
  const { code } = errors?.[0]?.extensions ?? {};
  return code && FINAL.includes(code) ? new Ended(message) : new Error(message);
}
