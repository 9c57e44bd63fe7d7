// Keeps the page itself, so that it opens without the service; the SDK keeps the model.
const NAME = "lorgnette-page-%version%";
const SHELL = %shell%;

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(NAME).then((cache) => cache.addAll(SHELL)).then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  event.waitUntil(forgetOthers().then(() => self.clients.claim()));
});

self.addEventListener("fetch", (event) => {
  const { pathname, origin } = new URL(event.request.url);
  if (event.request.method !== "GET" || origin !== self.location.origin) return;
  if (pathname.startsWith("/assets/")) event.respondWith(keptFirst(event.request));
  else if (pathname === "/" || pathname === "/icon.svg") event.respondWith(freshFirst(event.request));
});

async function keptFirst(request) {
  return (await caches.match(request)) ?? fetch(request);
}

async function freshFirst(request) {
  try {
    return await fetch(request);
  } catch (error) {
    const kept = await caches.match(new URL(request.url).pathname);
    if (kept === undefined) throw error;
    return kept;
  }
}

async function forgetOthers() {
  for (const name of await caches.keys()) {
    if (name.startsWith("lorgnette-page-") && name !== NAME) await caches.delete(name);
  }
}
