// Asks with Apollo Client through its link for persisted queries, twice, and prints the answers and what went over the wire.

import { ApolloClient, ApolloLink, gql, HttpLink, InMemoryCache } from "@apollo/client/core/index.js";
import { PersistedQueryLink } from "@apollo/client/link/persisted-queries/index.js";
import { createHash } from "node:crypto";

const { url, apiKey } = JSON.parse(process.argv[2]);
const wire = [];
const http = new HttpLink({
  uri: url,
  headers: { authorization: `Bearer ${apiKey}` },
  fetch: async (address, init) => {
    const response = await fetch(address, init);
    const sent = init.body ? JSON.parse(init.body) : {};
    wire.push({ method: init.method, query: "query" in sent, status: response.status });
    return response;
  },
});
const persisted = new PersistedQueryLink({ sha256: (text) => createHash("sha256").update(text).digest("hex") });
const client = new ApolloClient({ link: ApolloLink.from([persisted, http]), cache: new InMemoryCache() });

const answers = [];
for (const query of [gql`query First { viewer { workspace { name } } }`, gql`query Second { sequences { totalCount } }`]) {
  answers.push((await client.query({ query, fetchPolicy: "network-only" })).data);
}
console.log(JSON.stringify({ answers, wire }));
