"""Export: trained networks become ONNX bundles for devices."""
