/** All tests in a browser, in one process: they share a service and a browser. */

import "./needs_chromium.js";
import { after, afterEach } from "node:test";
import "./searching.js";
import "./mishaps.js";
import "./meddling.js";
import "./model.js";
import "./admin.js";
import { theWorld } from "./world.js";

afterEach(async () => (await theWorld()).tidy());
after(async () => (await theWorld()).close());
