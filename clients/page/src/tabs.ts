/** The tabs, as the ARIA practices describe them; the address names the open one. */

import { byId } from "./dom.js";

const NAMES = ["search", "admin"] as const;

/** One of the views. */
export type TabName = (typeof NAMES)[number];

/** Make the tabs work. onOpen: told of the tab that opens, the first one included. */
export function listenForTabs(onOpen: (name: TabName) => void): void {
  const named = (): TabName => NAMES.find((name) => location.hash === `#${name}`) ?? "search";
  const open = (): void => {
    const name = named();
    for (const other of NAMES) {
      const isOpen = other === name;
      const tab = tabOf(other);
      tab.ariaSelected = String(isOpen);
      tab.tabIndex = isOpen ? 0 : -1;
      byId(`view-${other}`, HTMLElement).hidden = !isOpen;
    }
    onOpen(name);
  };
  NAMES.forEach((name, index) => {
    tabOf(name).addEventListener("click", () => (location.hash = name));
    tabOf(name).addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      const next = step && NAMES[(index + step + NAMES.length) % NAMES.length];
      if (!next) return;
      location.hash = next;
      tabOf(next).focus();
    });
  });
  addEventListener("hashchange", open);
  open();
}

function tabOf(name: TabName): HTMLButtonElement {
  return byId(`tab-${name}`, HTMLButtonElement);
}
