/** This SDK's version, which a release may ask for; a test compares it with package.json. */
export const VERSION = "0.1.0";
