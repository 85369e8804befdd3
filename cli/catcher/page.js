// Local times, a question before deleting, and a list that follows what arrives.
"use strict";

const localTimes = (root) => {
  const today = new Date().toDateString();
  for (const time of root.querySelectorAll("time")) {
    const moment = new Date(time.dateTime);
    time.title = time.textContent;
    time.textContent = moment.toDateString() === today ? moment.toLocaleTimeString() : moment.toLocaleString();
  }
};

localTimes(document);

for (const form of document.querySelectorAll("form[data-confirm]")) {
  form.addEventListener("submit", (event) => {
    if (!confirm(form.dataset.confirm)) event.preventDefault();
  });
}

const list = document.getElementById("mails");

const follow = async () => {
  if (document.hidden) return;
  const { count, newest } = await (await fetch(list.dataset.countUrl)).json();
  document.getElementById("count").textContent = count.toLocaleString("en");
  const changed = String(newest) !== list.dataset.newest || String(count) !== list.dataset.count;
  if (!changed) return;
  const reading = window.scrollY > 200 || list.contains(document.activeElement);
  if (!("live" in list.dataset) || reading) {
    document.getElementById("news").hidden = String(newest) === list.dataset.newest;
    return;
  }
  const page = new DOMParser().parseFromString(await (await fetch(location.href)).text(), "text/html");
  const fresh = page.getElementById("mails");
  localTimes(fresh);
  list.replaceChildren(...fresh.childNodes);
  Object.assign(list.dataset, { newest: fresh.dataset.newest, count: fresh.dataset.count });
  const form = document.querySelector("form[data-confirm]");
  form.dataset.confirm = page.querySelector("form[data-confirm]").dataset.confirm;
  form.querySelector("button").disabled = count === 0;
  document.getElementById("news").hidden = true;
};

if (list) {
  const again = () => follow().catch(() => {}).finally(() => setTimeout(again, 2000));
  setTimeout(again, 2000);
}
