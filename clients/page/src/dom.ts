/** The little of a framework that this page needs. */

/** The element of this id and class. A page without it is another page than this script's. */
export function byId<T extends HTMLElement>(id: string, kind: new () => T): T {
  const found = document.getElementById(id);
  if (found instanceof kind) return found;
  throw new Error(`the page has no ${kind.name} #${id}`);
}

type Child = Node | string | false;

/** A new element. Text is always set as text, never read as markup. */
export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  properties: Partial<HTMLElementTagNameMap[K]> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children.filter((child) => child !== false));
  return made;
}

/** Set an element's text; an unchanged one is not touched, so that it is not read out again. */
export function setText(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** Tell those who hear the page instead of seeing it. */
export function announce(text: string): void {
  setText(byId("said", HTMLParagraphElement), text);
}
