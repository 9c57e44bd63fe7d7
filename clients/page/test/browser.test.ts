/** The tests in a browser that need no keys, in one process: they share a service and a browser. */

import "./needs_chromium.js";
import { after, afterEach } from "node:test";
import "./searching.js";
import "./mishaps.js";
import "./meddling.js";
import "./model.js";
import { theWorld } from "./world.js";

afterEach(async () => (await theWorld()).tidy());
after(async () => (await theWorld()).close());
