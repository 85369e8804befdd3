// Subscribes to recipientEvents with the npm graphql-ws client and writes what arrives, while it arrives, as JSON lines:
//   {"connected": true}          the server has acknowledged the connection
//   {"at": 1700000000000, "event": {…}}
//   {"lost": "…"}                the connection ended; it is opened again after the last cursor
//   {"errors": […]}              the server refused the subscription; the program ends with code 1
// The first line of standard input says what to listen to: {"url", "apiKey", "after"}. It ends when its input ends.

import { createInterface } from "node:readline";
import { createClient } from "graphql-ws";
import WebSocket from "ws";

const query = `subscription Follow($after: String) {
  recipientEvents(after: $after) {
    id cursor type recipientId sequenceId previousStatus status endReason version occurredAt
    step { id position } message { id } stepError { code } actor { kind }
  }
}`;

const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");

const input = createInterface({ input: process.stdin });
input.on("close", () => process.exit(0));
const { url, apiKey, after } = JSON.parse(await new Promise((resolve) => input.once("line", resolve)));

const client = createClient({
  url,
  webSocketImpl: WebSocket,
  lazy: true,
  retryAttempts: 0,
  connectionParams: { Authorization: `Bearer ${apiKey}` },
  on: { connected: () => say({ connected: true }) },
});

let cursor = after;
for (;;) {
  try {
    for await (const { data, errors } of client.iterate({ query, variables: { after: cursor } })) {
      if (errors) throw errors;
      cursor = data.recipientEvents.cursor;
      say({ at: Date.now(), event: data.recipientEvents });
    }
    say({ lost: "the subscription was completed" });
  } catch (problem) {
    if (Array.isArray(problem)) {
      say({ errors: problem });
      process.exit(1);
    }
    say({ lost: String(problem.reason ?? problem.message ?? problem.code ?? problem) });
  }
  await new Promise((resolve) => setTimeout(resolve, 200));
}
