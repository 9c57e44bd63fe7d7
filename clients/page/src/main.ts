/** The page: wires its parts together. */

import { AdminView } from "./admin/view.js";
import { byId, el } from "./dom.js";
import { showProgress } from "./model_status.js";
import { SearchView } from "./search/view.js";
import { Student } from "./student.js";
import { listenForTabs } from "./tabs.js";

function showNotice(text: string): void {
  const notice = byId("notice", HTMLDivElement);
  const close = el("button", { type: "button" }, "Close");
  close.addEventListener("click", () => (notice.hidden = true));
  notice.replaceChildren(el("span", {}, text), close);
  notice.hidden = false;
}

function showConnection(): void {
  const banner = byId("offline", HTMLParagraphElement);
  banner.textContent = navigator.onLine
    ? ""
    : "You are offline. What is on this device still works; searching goes on when you are back.";
  banner.hidden = navigator.onLine;
}

/** Keep the page itself for a start without the service; last, so that nothing waits for it. */
function keepPage(): void {
  // A browser that keeps nothing is an ordinary case.
  navigator.serviceWorker?.register("/sw.js").catch(() => undefined);
}

const student = new Student(showProgress, showNotice);
const searching = new SearchView(student);
const admin = new AdminView(() => searching.again());
listenForTabs((name) => (name === "admin" ? admin.open() : admin.leave()));
addEventListener("online", showConnection);
addEventListener("offline", showConnection);
showConnection();
void searching.begin().then(keepPage);
