// While a run is live, fetch the order's changing part once a second and put it in place.
const order = document.getElementById("order");

async function look() {
  try {
    const answer = await fetch(order.dataset.now, { headers: { Accept: "text/html" } });
    if (!answer.ok || answer.redirected) return location.reload();
    order.innerHTML = await answer.text();
  } catch {
    // The server may be starting again; the run goes on without us.
  }
  again();
}

function again() {
  if (order.querySelector("[data-live]")) setTimeout(look, 700);
}

again();
