// Runs lists of clients/spa/live-list.ts, compiled, and writes what each shows after every change, as JSON lines:
//   {"list": "all", "state": "live", "hasMore": false, "rows": [[id, version, status], …]}
// The first line of standard input says what to show: {"module", "url", "apiKey", "lists": {name: options}}. It ends
// when its input ends. A list's `statuses` is its filter, given to the server and as a function.

import { createInterface } from "node:readline";
import WebSocket from "ws";

const input = createInterface({ input: process.stdin });
input.on("close", () => process.exit(0));
const { module, url, apiKey, lists } = JSON.parse(await new Promise((resolve) => input.once("line", resolve)));
const { LiveList } = await import(module);

for (const [name, { statuses, ...options }] of Object.entries(lists)) {
  const filter = statuses && {
    where: { status: { in: statuses } },
    matches: (row) => statuses.includes(row.status),
  };
  const list = new LiveList({
    url,
    token: async () => apiKey,
    fields: "status contact { email }",
    filter,
    WebSocket,
    ...options,
  });
  list.subscribe(() => {
    const { rows, ...rest } = list.getSnapshot();
    const shown = rows.map(({ id, version, status }) => [id, version, status]);
    process.stdout.write(JSON.stringify({ list: name, ...rest, rows: shown }) + "\n");
  });
  list.start();
}
