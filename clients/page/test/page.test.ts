/** All tests of the page, in one process: they share a service and a browser. */

import { after, afterEach } from "node:test";
import "./budget.js";
import "./searching.js";
import "./mishaps.js";
import "./model.js";
import "./admin.js";
import { theWorld } from "./world.js";

afterEach(async () => (await theWorld()).tidy());
after(async () => (await theWorld()).close());
