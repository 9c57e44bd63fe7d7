/** Before the tests: the sample gallery, which all of them share. */

import "./needs_chromium.js";
import { sample } from "./service.js";

sample();
