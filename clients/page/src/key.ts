/** The visitor's API key: in this tab alone, and in memory where the browser keeps nothing. */

const NAME = "lorgnette-key";
let inMemory: string | undefined;

/** The key, if one was given in this tab. */
export function currentKey(): string | undefined {
  try {
    return sessionStorage.getItem(NAME) ?? inMemory;
  } catch {
    return inMemory;
  }
}

/** Keep a key until the tab is closed; undefined forgets it. */
export function setKey(key: string | undefined): void {
  inMemory = key;
  try {
    if (key === undefined) sessionStorage.removeItem(NAME);
    else sessionStorage.setItem(NAME, key);
  } catch {
    // No storage: the key lasts as long as the page.
  }
}
