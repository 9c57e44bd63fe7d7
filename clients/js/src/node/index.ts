/** The encoder in Node, over onnxruntime-node. */

export {};
