// Asks with urql, which names text/event-stream in the Accept of every query, and subscribes with it over fetch.
// Prints {"types": [content types in the order of the answers], "asked", "told"}.

import { Client, fetchExchange, gql } from "@urql/core";

const { url, apiKey, after } = JSON.parse(process.argv[2]);
const types = [];
const client = new Client({
  url,
  exchanges: [fetchExchange],
  fetchSubscriptions: true,
  fetchOptions: { headers: { authorization: `Bearer ${apiKey}` } },
  preferGetMethod: false,
  fetch: async (address, init) => {
    const response = await fetch(address, init);
    types.push(response.headers.get("content-type"));
    return response;
  },
});
const asked = await client.query(gql`{ viewer { workspace { name } } }`, {}).toPromise();
if (asked.error) throw asked.error;
const query = gql`subscription ($after: String) { recipientEvents(after: $after) { id } }`;
const told = await new Promise((resolve, reject) => {
  const { unsubscribe } = client.subscription(query, { after }).subscribe(({ data, error }) => {
    if (error) reject(error);
    if (data) {
      resolve(data.recipientEvents);
      setTimeout(() => unsubscribe());
    }
  });
});
console.log(JSON.stringify({ types, asked: asked.data, told }));
