// Follows recipientEvents with npm's graphql-sse, in its “distinct connections mode”, and asks and changes over it too.
// Prints {"asked", "changed", "ids", "refused", "connects"}; one connection is cut on the way, and taken up again.

import { createClient } from "graphql-sse";

const { url, apiKey, after, wanted, broken } = JSON.parse(process.argv[2]);
const open = new Set();
let connects = 0;
const client = createClient({
  url,
  headers: { authorization: `Bearer ${apiKey}` },
  retryAttempts: 3,
  fetchFn: async (address, init) => {
    connects += 1;
    const response = await fetch(address, init);
    open.add(response);
    return response;
  },
});
const once = (query, variables) =>
  new Promise((resolve, reject) => {
    let last;
    client.subscribe({ query, variables }, { next: (one) => (last = one), error: reject, complete: () => resolve(last) });
  });

const asked = await once("{ __typename }");
const changed = await once('mutation { sequenceCreate(input: {name: "By SSE"}) { sequence { name } } }');
const refused = await once(broken);

const query = "subscription ($after: String) { recipientEvents(after: $after) { id cursor } }";
const ids = [];
let cursor = after;
for await (const { data } of client.iterate({ query, variables: { after: cursor } })) {
  ids.push(data.recipientEvents.id);
  cursor = data.recipientEvents.cursor;
  if (ids.length === wanted) break;
}
console.log(JSON.stringify({ asked, changed, refused, ids, connects }));
client.dispose();
