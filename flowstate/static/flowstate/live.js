// While htmx fetches newer states of a run, keeps what the reader has opened and where they are, and tells the news.
(() => {
  "use strict";

  let opened = [];
  let closed = [];
  let focused = null;
  let scrolled = [];

  const regions = () => [...document.querySelectorAll("#flowstate-live .flowstate-scroll")];
  const details = () => [...document.querySelectorAll("#flowstate-live details[id]")];

  // How to find an element again in what replaces it.
  const whereIs = (element) => {
    if (!element || !element.closest("#flowstate-live")) return null;
    if (element.matches("summary")) return `#${CSS.escape(element.parentElement.id)} > summary`;
    if (element.id) return `#${CSS.escape(element.id)}`;
    return element.matches("[href]") ? `[href="${CSS.escape(element.getAttribute("href"))}"]` : null;
  };

  // A page that nobody looks at asks nothing.
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (document.hidden) event.preventDefault();
  });

  document.addEventListener("htmx:beforeSwap", (event) => {
    if (!event.detail.shouldSwap) return;
    if (!event.detail.serverResponse.includes('id="flowstate-live"')) {
      // Logged out meanwhile, for example: show that page as a whole.
      event.detail.shouldSwap = false;
      location.reload();
      return;
    }
    opened = details().filter((one) => one.open).map((one) => one.id);
    closed = details().filter((one) => !one.open).map((one) => one.id);
    scrolled = regions().map((one) => [one.getAttribute("aria-labelledby"), one.scrollLeft, one.scrollTop]);
    focused = whereIs(document.activeElement);
  });

  document.addEventListener("htmx:afterSwap", () => {
    for (const one of details()) {
      if (opened.includes(one.id)) one.open = true;
      if (closed.includes(one.id)) one.open = false;
    }
    for (const [name, left, top] of scrolled) {
      const same = regions().find((one) => one.getAttribute("aria-labelledby") === name);
      if (same) same.scrollTo(left, top);
    }
    const live = document.getElementById("flowstate-live");
    const again = focused && live.querySelector(focused);
    if (again) again.focus({ preventScroll: true });
    const told = document.getElementById("flowstate-told");
    if (told.textContent !== live.dataset.told) told.textContent = live.dataset.told;
  });
})();
