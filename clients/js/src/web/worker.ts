/** The worker's side: a file of its own, for bundlers that want an entry point. */
export {};
